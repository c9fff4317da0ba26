"""A frame is measured once; what it says is what measuring says."""

from __future__ import annotations

import numpy as np
import pytest

from cardiolabel.domain import CAMUS_LABELS, LV_LABELS, Spacing
from cardiolabel.errors import MeasurementError
from cardiolabel.measurements import remembered
from cardiolabel.measurements.geometry import measure_geometry
from cardiolabel.measurements.remembered import RememberedGeometry

SPACING = Spacing(row_mm=0.8, col_mm=0.9)


def rectangle(length: int) -> np.ndarray:
    mask = np.zeros((90, 60), np.uint8)
    mask[10 : 10 + length, 15:40] = 1
    return mask


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Area in pixels of every mask that is really measured."""
    seen: list[int] = []

    def spy(mask: np.ndarray, *values: object, **named: object) -> object:
        seen.append(int((mask == 1).sum()))
        return measure_geometry(mask, *values, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(remembered, "measure_geometry", spy)
    return seen


def test_what_did_not_change_is_not_measured_again(measured: list[int]) -> None:
    remember = RememberedGeometry(10**6)
    cine = [rectangle(length) for length in (50, 60, 55)]
    first = [remember(mask, SPACING, labels=CAMUS_LABELS) for mask in cine]
    cine[1] = rectangle(62)  # an annotator corrects one frame
    again = [remember(mask.copy(), SPACING, labels=CAMUS_LABELS) for mask in cine]
    assert measured == [1250, 1500, 1375, 1550]
    assert again[0] is first[0] and again[2] is first[2]
    assert again[1].area == measure_geometry(cine[1], SPACING, labels=CAMUS_LABELS).area


def test_the_same_pixels_of_another_size_or_meaning_are_measured(measured: list[int]) -> None:
    remember, mask = RememberedGeometry(10**6), rectangle(50)
    areas = [
        remember(mask, SPACING, labels=CAMUS_LABELS).area,
        remember(mask, Spacing(1.0, 1.0), labels=CAMUS_LABELS).area,
        remember(mask, None, labels=CAMUS_LABELS).area,
        remember(mask, SPACING, labels=LV_LABELS).area,
    ]
    assert len(measured) == 4 and areas == pytest.approx([900, 1250, 1250, 900])
    remember(mask.T, SPACING, labels=CAMUS_LABELS)
    assert len(measured) == 5


def test_a_reason_is_remembered_too(measured: list[int]) -> None:
    remember, empty = RememberedGeometry(10**6), np.zeros((40, 40), np.uint8)
    reasons = []
    for _ in range(2):
        with pytest.raises(MeasurementError) as caught:
            remember(empty, SPACING, labels=CAMUS_LABELS)
        reasons.append(str(caught.value))
    assert measured == [0] and reasons[0] == reasons[1] != ""


def test_what_was_asked_for_last_stays_within_the_limit(measured: list[int]) -> None:
    remember = RememberedGeometry(5000)  # holds one
    for length in (50, 60, 60, 50):
        remember(rectangle(length), SPACING, labels=CAMUS_LABELS)
    assert measured == [1250, 1500, 1250]
