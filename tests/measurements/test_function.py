"""EF and area change, and when there is none."""

import pytest

from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.function import ejection_fraction_pct, fractional_area_change_pct


@pytest.mark.parametrize(("edv", "esv", "ef"), [(120, 48, 60), (0.3, 0.2, 100 / 3), (100, 99.5, 0.5)])
def test_ef(edv: float, esv: float, ef: float) -> None:
    assert ejection_fraction_pct(edv, esv) == pytest.approx(ef)
    assert fractional_area_change_pct(edv, esv) == pytest.approx(ef)


@pytest.mark.parametrize(
    ("edv", "esv", "reason"),
    [
        (100, 100, "not smaller"),
        (48, 120, "not smaller"),
        (0, 0, "positive"),
        (-5, -9, "positive"),
        (100, 0, "positive"),
        (float("nan"), 50, "positive"),
        (100, float("nan"), "positive"),
    ],
)
def test_impossible_pairs_are_refused(edv: float, esv: float, reason: str) -> None:
    with pytest.raises(MeasurementError, match=f"the volume at .*{reason}"):
        ejection_fraction_pct(edv, esv)
    with pytest.raises(MeasurementError, match=f"the area at .*{reason}"):
        fractional_area_change_pct(edv, esv)
