"""Areas under curves and budgets that are enough, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardiolabel.experiments.simulation.curves import area_gain, enough, lv_dice, mean
from cardiolabel.experiments.simulation.files import write_simulation
from cardiolabel.experiments.simulation.simulate import FULL, Outcome

JUDGES = [f"v{number}" for number in range(20)]


def outcome(strategy: str, seed: int, patients: int, dice: float, error: float) -> Outcome:
    judged = {name: dice + 0.001 * (number - 9.5) for number, name in enumerate(JUDGES)}
    return Outcome(strategy, seed, patients, (), judged, judged, dict.fromkeys(JUDGES, error), training_s=1.0)


def simulated() -> list[Outcome]:
    result = []
    for seed in range(3):
        for patients, dice in ((10, 0.80), (20, 0.84), (40, 0.90)):
            result.append(outcome("random", seed, patients, dice, 8 - patients / 10))
            result.append(
                outcome("hybrid", seed, patients, dice + 0.02 * (patients > 10), 7.5 - patients / 10)
            )
        result.append(outcome(FULL, seed, 400, 0.92, 3.4))
    return result


def test_area_gain_by_hand() -> None:
    result = area_gain(simulated(), "hybrid", "random", lv_dice)
    assert result is not None
    gain, seeds = result
    # trapezoids of 0, 0.02, 0.02 at 10, 20, 40: (10 * 0.01 + 20 * 0.02) / 30
    assert gain.value == pytest.approx(0.5 / 30)
    assert seeds == pytest.approx([0.5 / 30] * 3)
    assert gain.low == pytest.approx(gain.high)  # the same for every patient and seed
    assert area_gain(simulated(), "hybrid", "diversity", lv_dice) is None


def test_enough_takes_both_dice_and_ef() -> None:
    assert enough(simulated(), "hybrid") == 40
    assert enough(simulated(), "random") is None  # 0.90 is less than 98 % of 0.92
    assert enough(simulated(), "hybrid", ef_pct=-0.2) is None


def test_mean_has_an_interval_over_patients() -> None:
    result = mean([each for each in simulated() if each.strategy == FULL], lv_dice)
    assert result.value == pytest.approx(0.92)
    assert result.low < 0.92 < result.high


def test_result_files_hold_the_curves(tmp_path: Path) -> None:
    write_simulation(simulated(), tmp_path, about="camus on made-up figures.")
    page = (tmp_path / "labels.md").read_text()
    assert "within 0.5 points of the EF error of all patients: 40 patients" in page
    assert "against random: LV Dice +0.0167 (+0.0167 to +0.0167) [+0.0167, +0.0167, +0.0167]" in page
    assert (tmp_path / "labels.csv").read_text().splitlines()[1].startswith("hybrid,10,3,0.8,")
    assert (tmp_path / "labels.png").read_bytes().startswith(b"\x89PNG")
