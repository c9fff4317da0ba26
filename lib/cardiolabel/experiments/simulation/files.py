"""Files of a simulation: a table, a page and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from cardiolabel.experiments.simulation.curves import (
    Mean,
    Value,
    area_gain,
    ef_error_pct,
    enough,
    lv_dice,
    mean,
)
from cardiolabel.experiments.simulation.simulate import FULL, Outcome
from cardiolabel.io.files import atomic
from cardiolabel.reporting.markdown import named_table
from cardiolabel.reporting.patient_curves import PatientCurves
from cardiolabel.reporting.tables import write_table
from cardiolabel.reporting.theme import INK

COLUMNS = (
    "strategy",
    "patients",
    "seeds",
    "lv_dice",
    "lv_dice_low",
    "lv_dice_high",
    "ef_mae_pct",
    "ef_mae_low_pct",
    "ef_mae_high_pct",
)
_COLORS = ("#9a9a9a", "#4dabf7", "#ffd23f", "#b197fc", "#3bceac", "#ee4266")
_BASES = ("random", "stratified")


def write_simulation(outcomes: Sequence[Outcome], folder: Path, *, about: str) -> None:
    """Write ``labels.csv``, ``labels.md`` and ``labels.png``.

    Parameters
    ----------
    outcomes : sequence of Outcome
    folder : Path
    about : str
        What was simulated, for the page.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    rows = [_cells(name, budget, own) for name, budget, own in _groups(outcomes)]
    write_table(folder / "labels.csv", COLUMNS, rows)
    with atomic(folder / "labels.png") as draft:
        draft.write_bytes(labels_png(outcomes))
    lines = [
        "# Labels that strategies need",
        "",
        about,
        "",
        "Each row: models that learned from so many patients, chosen by a strategy, judged by held-back"
        " patients whom nobody could choose. lv_dice: LV cavity, mean over images, patients and seeds;"
        " ef_mae_pct: points, against the EF of the reference masks, guideline convention; low and high: 95 %"
        " by drawing patients and seeds again.",
        "",
        *named_table(COLUMNS, rows),
        "",
        "![LV Dice and EF error over labelled patients](labels.png)",
        "",
        "## Compared, paired by seed and judging patient",
        "",
        "Gain in the area under the curve over labelled patients, divided by their range; of each seed in"
        " brackets.",
        "",
        *_comparisons(outcomes),
        "",
    ]
    with atomic(folder / "labels.md") as draft:
        draft.write_text("\n".join(lines), encoding="utf-8")


def labels_png(outcomes: Sequence[Outcome]) -> bytes:
    """Draw LV Dice and EF error over labelled patients, with their intervals, as PNG.

    Returns
    -------
    bytes
        A PNG file.
    """
    curves = PatientCurves(
        ("LV cavity, mean Dice", "EF, mean absolute error (points)"),
        sorted({outcome.patients for outcome in outcomes if outcome.strategy != FULL}),
    )
    for axes, value in zip(curves.axes, (lv_dice, ef_error_pct), strict=True):
        _curves(axes, outcomes, value)
    return curves.png()


def _curves(axes: Axes, outcomes: Sequence[Outcome], value: Value) -> None:
    names = [name for name in dict.fromkeys(outcome.strategy for outcome in outcomes) if name != FULL]
    for name, color in zip(names, _COLORS * len(names), strict=False):
        curve = [
            (budget, mean(own, value)) for strategy, budget, own in _groups(outcomes) if strategy == name
        ]
        shift = 1 + 0.012 * (names.index(name) - len(names) / 2)  # or the intervals would hide each other
        axes.errorbar(
            [budget * shift for budget, _ in curve],
            [point.value for _, point in curve],
            yerr=[
                [point.value - point.low for _, point in curve],
                [point.high - point.value for _, point in curve],
            ],
            color=color,
            marker="o",
            markersize=4,
            linewidth=1.4,
            elinewidth=0.7,
            label=name,
        )
    full = [outcome for outcome in outcomes if outcome.strategy == FULL]
    if full:
        label = f"all {full[0].patients} patients"
        axes.axhline(mean(full, value).value, color=INK, linestyle=":", linewidth=1.2, label=label)


def _groups(outcomes: Sequence[Outcome]) -> list[tuple[str, int, list[Outcome]]]:
    """Return the outcomes of all seeds, by strategy and budget."""
    keys = dict.fromkeys((outcome.strategy, outcome.patients) for outcome in outcomes)
    return [
        (
            name,
            budget,
            [outcome for outcome in outcomes if (outcome.strategy, outcome.patients) == (name, budget)],
        )
        for name, budget in sorted(keys, key=lambda key: (key[0] == FULL, key))
    ]


def _cells(name: str, budget: int, own: Sequence[Outcome]) -> dict[str, Any]:
    cells: dict[str, Any] = {"strategy": name, "patients": budget, "seeds": len(own)}
    for what, value, digits in (("lv_dice{}", lv_dice, 4), ("ef_mae{}_pct", ef_error_pct, 2)):
        of = mean(own, value)
        for end, number in (("", of.value), ("_low", of.low), ("_high", of.high)):
            cells[what.format(end)] = round(number, digits)
    return cells


def _comparisons(outcomes: Sequence[Outcome]) -> list[str]:
    lines = []
    for name in dict.fromkeys(outcome.strategy for outcome in outcomes if outcome.strategy != FULL):
        budget = enough(outcomes, name)
        reached = f"{budget} patients" if budget else "never"
        lines.append(
            f"- {name}: 98 % of the LV Dice and within 0.5 points of the EF error of all patients: {reached}"
        )
        for base in _BASES:
            dice = area_gain(outcomes, name, base, lv_dice) if base != name else None
            ef = area_gain(outcomes, name, base, ef_error_pct) if base != name else None
            if dice and ef:
                lines.append(f"  - against {base}: LV Dice {_gain(dice, 4)}; EF error {_gain(ef, 2)} points")
    return lines


def _gain(mean_gain: tuple[Mean, tuple[float, ...]], digits: int) -> str:
    gain, seeds = mean_gain
    each = ", ".join(f"{seed:+.{digits}f}" for seed in seeds)
    return f"{gain.value:+.{digits}f} ({gain.low:+.{digits}f} to {gain.high:+.{digits}f}) [{each}]"
