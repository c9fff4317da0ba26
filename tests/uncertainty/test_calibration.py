"""Intervals hold as many EFs as they say, whatever the errors look like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cardiolabel.domain import Convention, Method
from cardiolabel.errors import CorruptWeightsError
from cardiolabel.uncertainty.calibration import LEAST_PATIENTS, Calibration, calibrate, whole_spread_pct
from cardiolabel.uncertainty.ef_intervals import calibration_key, with_intervals

from .test_ef_distribution import study

GUIDELINE = (Method.BIPLANE, Convention.GUIDELINE)


@pytest.mark.parametrize("shape", ["normal", "heavy tails", "unrelated to the spread"])
def test_coverage_on_patients_not_calibrated_by(shape: str) -> None:
    rng = np.random.default_rng(0)
    held, flat = [], []
    for _ in range(300):
        spreads = rng.uniform(1, 8, 100)
        errors = {
            "normal": rng.normal(0, whole(spreads)),
            "heavy tails": rng.standard_t(3, 100) * whole(spreads),
            "unrelated to the spread": rng.normal(1, 5, 100),
        }[shape]
        result = calibrate(errors[:50], spreads[:50])
        held.append(
            np.mean([abs(e) <= result.half_pct(s) for e, s in zip(errors[50:], spreads[50:], strict=True)])
        )
        flat.append(np.mean(abs(errors[50:]) <= result.half_pct(None)))
    assert 0.88 < np.mean(held) < 0.94
    assert 0.88 < np.mean(flat) < 0.94


def whole(spreads: np.ndarray) -> np.ndarray:
    return np.array([whole_spread_pct(spread) for spread in spreads])


def test_the_more_is_drawn_by_persons_the_narrower() -> None:
    result = Calibration(2.0, 10.0, 0.9, 50)
    assert result.half_pct(3.0) == pytest.approx(2 * np.sqrt(9 + 4))
    assert result.half_pct(3.0, open_share=0.25) == pytest.approx(2 * np.sqrt(9 + 1))
    assert result.half_pct(None) == 10.0


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(ValueError, match="19 patients are too few"):
        calibrate([1.0] * (LEAST_PATIENTS - 1), [1.0] * (LEAST_PATIENTS - 1))


def test_a_card_of_another_kind_is_refused() -> None:
    text = Calibration(2.0, 10.0, 0.9, 50).as_dict()
    assert Calibration.from_card({"biplane camus": text})["biplane camus"] == Calibration(2.0, 10.0, 0.9, 50)
    with pytest.raises(CorruptWeightsError, match="intervals of another kind"):
        Calibration.from_card({"biplane camus": {"width": 3}})


def test_rows_carry_intervals_around_their_ef() -> None:
    measured = study()
    listed = {calibration_key(*GUIDELINE): Calibration(2.0, 10.0, 0.9, 50).as_dict()}
    rows = {(r.method, r.convention): r for r in with_intervals(measured, listed, predicted=["A4C_ES"]).rows}
    row = rows.pop(GUIDELINE)
    assert (row.ef_low_pct, row.ef_high_pct) == pytest.approx((row.ef_pct - 10, row.ef_pct + 10))
    assert all(other.ef_low_pct is None for other in rows.values())  # not calibrated
    (drawn,) = [
        r
        for r in with_intervals(measured, listed, predicted=["A4C_ES"], spreads_pct={GUIDELINE: 3.0}).rows
        if (r.method, r.convention) == GUIDELINE
    ]
    assert drawn.ef_high_pct - drawn.ef_pct == pytest.approx(2 * np.sqrt(9 + 4 / 4))


def test_masks_of_persons_only_have_no_interval() -> None:
    listed = {calibration_key(*GUIDELINE): Calibration(2.0, 10.0, 0.9, 50).as_dict()}
    assert with_intervals(study(), listed, predicted=[]).rows == study().rows


def test_an_ef_stays_between_0_and_100() -> None:
    listed = {calibration_key(*GUIDELINE): Calibration(2.0, 300.0, 0.9, 50).as_dict()}
    measured = study()
    result = [
        r for r in with_intervals(measured, listed, predicted=["A4C_ES"]).rows if r.ef_low_pct is not None
    ]
    assert [(r.ef_low_pct, r.ef_high_pct) for r in result] == [(0.0, 100.0)]
    assert replace(result[0], ef_low_pct=None, ef_high_pct=None) in measured.rows
