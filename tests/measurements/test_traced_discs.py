"""EF of traced discs: analytic shapes, and what scale does to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.traced_discs import traced_ef_pct

MIDDLES = (np.arange(20) + 0.5) / 20
HALF_ELLIPSOID = np.sqrt(1 - MIDDLES**2)


@given(
    diameter=st.floats(10, 60),
    length=st.floats(20, 100),
    narrower=st.floats(0.3, 0.95),
    shorter=st.floats(0.7, 1),
    scale=st.floats(0.1, 10),
)
def test_half_ellipsoids_at_any_scale(
    diameter: float, length: float, narrower: float, shorter: float, scale: float
) -> None:
    result = traced_ef_pct(
        scale * diameter * HALF_ELLIPSOID,
        scale * diameter * narrower * HALF_ELLIPSOID,
        ed_length=scale * length,
        es_length=scale * length * shorter,
    )
    assert result == pytest.approx(100 * (1 - narrower**2 * shorter), abs=1e-6)


def test_each_phase_has_its_own_length() -> None:
    same = np.full(20, 40.0)
    assert traced_ef_pct(same, same, ed_length=80.0, es_length=60.0) == pytest.approx(25.0)


def test_no_volume_has_no_ef() -> None:
    with pytest.raises(MeasurementError):
        traced_ef_pct(np.zeros(20), np.zeros(20), ed_length=80.0, es_length=60.0)
