"""A candidate is published only if it is no worse, as far as the patients can tell."""

import re

import numpy as np
import pytest

from cardiolabel.training.retraining.figures import Figures
from cardiolabel.training.retraining.promotion import LEAST_PATIENTS, verdict


def by_patient(values: list[float] | np.ndarray) -> dict[str, float]:
    return {f"p{number}": float(value) for number, value in enumerate(values)}


def judged(dice: list[float] | np.ndarray, ef_error_pct: list[float] | np.ndarray = ()) -> Figures:
    return Figures(by_patient(dice), {}, by_patient(ef_error_pct))


DICE = np.linspace(0.90, 0.95, 20)
ERROR = np.linspace(1, 8, 20)


@pytest.mark.parametrize(
    ("dice", "error", "promoted", "said"),
    [
        (DICE + 0.01, ERROR - 0.5, True, r"Dice 0.9250 -> 0.9350, EF error 4.5 -> 4.0 points"),
        (DICE, ERROR, True, "Dice 0.9250 -> 0.9250"),
        (DICE - 0.001, ERROR - 0.5, False, "Dice falls from 0.9250 to 0.9240"),
        (DICE + 0.01, ERROR + 0.5, False, "EF error grows from 4.5 to 5.0 points"),
        (DICE - 0.02, ERROR + 1, False, "Dice falls .*; the EF error grows"),
    ],
)
def test_who_is_published(dice: np.ndarray, error: np.ndarray, promoted: bool, said: str) -> None:
    result = verdict(judged(DICE, ERROR), judged(dice, error))
    assert result.promoted is promoted
    assert re.search(said, result.reason)
    assert result.patients == 20 and result.dice is not None
    assert result.dice.difference == pytest.approx((dice - DICE).mean())


def test_what_might_be_a_loss_is_refused() -> None:
    """Six patients of whom one is lost: better on average, but another six could say otherwise."""
    result = verdict(judged([0.9] * 6), judged([0.93] * 5 + [0.76]))
    assert result.dice is not None and result.dice.difference > 0 > result.dice.low
    assert not result.promoted and "could be worse by" in result.reason
    steady = verdict(judged([0.9] * 6, [4.0] * 6), judged([0.91] * 6, [0.5] * 5 + [19]))
    assert not steady.promoted and "EF error could be worse by" in steady.reason


@pytest.mark.parametrize(("shift", "promoted"), [(0.1, True), (0.5, False)])
def test_a_sure_gain_outweighs_what_may_be_chance(shift: float, promoted: bool) -> None:
    """One figure is surely better; the other is worse by a little, or by more than chance explains."""
    chance = np.where(np.arange(20) % 2, 1.0, -1.0)
    dice = verdict(judged(DICE, ERROR), judged(DICE + 0.01, ERROR + chance + 2 * shift))
    ef = verdict(judged(DICE, ERROR), judged(DICE + 0.002 * chance - 0.004 * shift, ERROR - 1))
    assert (dice.promoted, ef.promoted) == (promoted, promoted)
    unsure = verdict(judged(DICE, ERROR), judged(DICE + 0.01 * chance + 0.001, ERROR + chance + 0.1))
    assert not unsure.promoted and "EF error grows" in unsure.reason


def test_too_few_patients_are_reported() -> None:
    few, enough = DICE[: LEAST_PATIENTS - 1], DICE[:LEAST_PATIENTS]
    result = verdict(judged(few), judged(few))
    assert not result.promoted and "too few to judge by" in result.reason
    result = verdict(judged(enough, few), judged(enough, few))
    assert result.promoted and "too few patients have an EF" in result.reason and result.ef_error_pct is None
    # Only patients that both could be judged by count.
    assert not verdict(judged(enough), judged(few)).promoted


def test_each_image_quality_is_told_of() -> None:
    better = np.where(np.arange(20) < 6, 0.05, 0.001)
    quality = {f"p{number}": "Poor" if number < 6 else "Good" for number in range(16)}
    result = verdict(judged(DICE), judged(DICE + better), quality=quality).dice_by_quality
    assert {name: part.patients for name, part in result.items()} == {
        "Good": 10,
        "Poor": 6,
    }  # 4 unknown: too few
    assert result["Poor"].difference == pytest.approx(0.05) and result["Good"].difference == pytest.approx(
        0.001
    )
