"""Volume formulas against numbers worked out by hand and against integrals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cardiolabel.measurements.volume import (
    area_length_volume_ml,
    biplane_volume_ml,
    single_plane_volume_ml,
    slice_summation_ml,
)


def half_ellipsoid(radius_mm: float, discs: int = 20) -> np.ndarray:
    return 2 * radius_mm * np.sqrt(1 - ((np.arange(discs) + 0.5) / discs) ** 2)


def test_biplane_of_two_discs_by_hand() -> None:
    # pi/4 * (40*30 + 20*10) mm² * 60 mm / 2 = 32 986.7 mm³
    result = biplane_volume_ml(np.array([40.0, 20.0]), np.array([30.0, 10.0]), length_mm=60)
    assert result == pytest.approx(32.98672, abs=1e-4)


def test_discs_of_a_half_ellipsoid() -> None:
    exact = 2 / 3 * math.pi * 24 * 22 * 85 / 1000
    result = biplane_volume_ml(half_ellipsoid(24), half_ellipsoid(22), length_mm=85)
    assert result == pytest.approx(exact, rel=1e-3)


def test_single_plane_is_biplane_of_the_same_plane_twice() -> None:
    widths = half_ellipsoid(24)
    assert single_plane_volume_ml(widths, length_mm=85) == biplane_volume_ml(widths, widths, length_mm=85)


def test_area_length_is_exact_for_a_half_ellipsoid() -> None:
    length, radius_a, radius_b = 85.0, 24.0, 22.0
    areas = (math.pi * radius * length / 2 for radius in (radius_a, radius_b))
    exact = 2 / 3 * math.pi * radius_a * radius_b * length / 1000
    assert area_length_volume_ml(*areas, length_mm=length) == pytest.approx(exact)


def test_area_length_is_about_085_area_squared_by_length() -> None:
    result = area_length_volume_ml(3000, 3000, length_mm=80)
    assert result == pytest.approx(0.85 * 3000**2 / 80 / 1000, rel=2e-3)


def test_volumes_keep_their_fractions() -> None:
    assert slice_summation_ml(np.array([123.4, 0.0, 56.7]), slice_spacing_mm=2.5) == pytest.approx(0.45025)


@pytest.mark.parametrize("factor", [0.1, 3.0])
def test_volume_grows_with_the_cube(factor: float) -> None:
    a, b = half_ellipsoid(24), half_ellipsoid(22)
    assert biplane_volume_ml(a * factor, b * factor, length_mm=85 * factor) == pytest.approx(
        factor**3 * biplane_volume_ml(a, b, length_mm=85)
    )
    assert area_length_volume_ml(3000 * factor**2, 2000 * factor**2, length_mm=85 * factor) == pytest.approx(
        factor**3 * area_length_volume_ml(3000, 2000, length_mm=85)
    )
