"""Files of a robustness test, and its table for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cardiolabel.evaluation.report import words
from cardiolabel.evaluation.robustness.conditions import FAILED_BELOW, LV, Condition
from cardiolabel.evaluation.robustness.figure import robustness_png
from cardiolabel.evaluation.robustness.robustness import Robustness
from cardiolabel.io.files import atomic
from cardiolabel.reporting.rounding import rounded
from cardiolabel.reporting.tables import write_table

PLOT = "robustness.png"

_HOW = f"""\
- **Dice** is the mean over images, each against its reference. **Drop** is what is lost against `none`, in
  Dice points (1/100), as the mean over patients; brackets hold its bootstrap 95 % interval over patients.
  **Below {FAILED_BELOW}** is the share of images with an LV Dice that low. A structure counts in images whose
  reference has it.
- **EF** is measured from predicted and reference masks alike, in the guideline convention, by the best method
  that the patient's references allow: mean absolute difference and bias (predicted minus reference) of the
  patients measurable on both sides, of those whose reference can be measured. An EF that cannot be measured
  at all is not in the mean: read it together with the number of patients.
- Strengths: noise in per cent of the sector's greys from darkest to 99.5th percentile; gain and depth in dB
  of a display of 60 dB; blur in per cent of the picture's height; sides in per cent of the sector's width in
  each row. Coarser grids are resampled with their references, and judged on that grid.
"""


def write_robustness(robustness: Robustness, folder: Path) -> None:
    """Write ``robustness.csv``, ``robustness.md`` and ``robustness.png``; each file whole or not at all.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    write_table(folder / "robustness.csv", columns(robustness.structures), _rows(robustness))
    with atomic(folder / PLOT) as draft:
        draft.write_bytes(robustness_png(robustness))
    with atomic(folder / "robustness.md") as draft:
        draft.write_text(_page(robustness), encoding="utf-8")


def columns(structures: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of ``robustness.csv``; an unmeasured value is an empty cell."""
    drops = ("drop_{}_points", "drop_{}_points_low", "drop_{}_points_high")
    return (
        "corruption",
        "strength",
        "patients",
        "images",
        *(form.format(name) for name in structures for form in ("dice_{}", *drops)),
        "lv_failed_share",
        "ef_mae_points",
        "ef_bias_points",
        "ef_patients",
        "ef_reference_patients",
    )


def table(robustness: Robustness) -> list[str]:
    """Return the conditions as lines of a Markdown table that is aligned as plain text as well."""
    head = ["corruption", "strength"]
    for name in robustness.structures:
        head += [f"{words(name)} Dice", "drop"]
    head += [f"LV below {FAILED_BELOW}", "EF MAE", "bias", "patients"]
    rows = [head, *(_cells(row, robustness.structures) for row in robustness.conditions)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    rows.insert(1, ["-" * width for width in widths])
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]


def summary(robustness: Robustness) -> list[str]:
    """Who was judged by what, and a warning where that is not fair."""
    first = robustness.conditions[0]
    lines = [
        f"{robustness.model}: {first.images} images of {first.patients} patients ({robustness.selection})."
    ]
    if "TRAIN" in (part.upper() for part in robustness.splits):
        lines.append("Patients of TRAIN are among them: a model trained on them cannot be judged by this.")
    elif not robustness.splits:
        lines.append("No official split: it is up to you that none of them was trained on.")
    return lines


def _page(robustness: Robustness) -> str:
    lines = [
        "# Robustness",
        "",
        *summary(robustness),
        "",
        *table(robustness),
        "",
        f"![Robustness]({PLOT})",
        "",
    ]
    lines += [f"The pictures show {robustness.example_image}.", "", "## How this was measured", "", _HOW]
    if robustness.problems:
        lines += ["## Not used", "", *(f"- {name}: {reason}" for name, reason in robustness.problems), ""]
    return "\n".join(lines)


def _rows(robustness: Robustness) -> Iterator[dict[str, Any]]:
    for row in robustness.conditions:
        cells: dict[str, Any] = {
            "corruption": row.corruption.name,
            "strength": row.corruption.strength,
            "patients": row.patients,
            "images": row.images,
            "lv_failed_share": rounded(row.failed_share),
            "ef_mae_points": rounded(row.ef_mae_points),
            "ef_bias_points": rounded(row.ef_bias_points),
            "ef_patients": len(row.efs),
            "ef_reference_patients": row.ef_patients,
        }
        for name, drop in row.drop.items():
            low, high = drop.interval or (None, None)
            cells[f"dice_{name}"] = rounded(row.dice[name])
            cells[f"drop_{name}_points"] = rounded(drop.points)
            cells[f"drop_{name}_points_low"] = rounded(low)
            cells[f"drop_{name}_points_high"] = rounded(high)
        yield cells


def _cells(row: Condition, structures: Sequence[str]) -> list[str]:
    cells = [row.corruption.name, row.corruption.strength]
    for name in structures:
        drop = row.drop[name]
        ends = f" [{', '.join(map(_points, drop.interval))}]" if drop.interval and name == LV else ""
        cells += [f"{row.dice[name]:.3f}", f"{_points(drop.points)}{ends}"]
    cells.append("–" if row.failed_share is None else f"{100 * row.failed_share:.0f} %")
    cells += ["–" if value is None else _points(value) for value in (row.ef_mae_points, row.ef_bias_points)]
    return [*cells, f"{len(row.efs)} of {row.ef_patients}"]


def _points(value: float) -> str:
    return f"{round(value, 1) + 0.0:.1f}"  # never -0.0
