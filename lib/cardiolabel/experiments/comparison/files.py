"""Files of a comparison: a table, a page and a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cardiolabel.experiments.comparison.compare import Comparison
from cardiolabel.experiments.comparison.figure import speed_figure
from cardiolabel.experiments.comparison.outcome import Outcome
from cardiolabel.experiments.comparison.timing import REFERENCE, REFERENCE_PX
from cardiolabel.io.files import atomic
from cardiolabel.reporting.markdown import named_table
from cardiolabel.reporting.tables import write_table

_DECIMALS = {
    "parameters_m": 2,
    "training_minutes": 1,
    "ms_per_frame": 1,
    "ratio": 2,
    "ef_mae": 2,
    "ef_bias": 2,
}
_BEFORE = (
    "recipe",
    "network",
    "parameters_m",
    "input_px",
    "begins_with",
    "images",
    "training_minutes",
    "timed_px",
    "ms_per_frame",
    "ratio",
)
_AFTER = ("ef_mae", "ef_bias", "ef_n", "ef_method", "reason", "source")


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Write ``comparison.csv``, ``comparison.md`` and ``comparison.png``.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    structures = list(dict.fromkeys(name for outcome in comparison.outcomes for name in outcome.dice))
    columns = (*_BEFORE, *(f"dice_{name}" for name in structures), *_AFTER)
    rows = [_cells(outcome) for outcome in comparison.outcomes]
    write_table(folder / "comparison.csv", columns, rows)
    with atomic(folder / "comparison.png") as draft:
        draft.write_bytes(speed_figure(comparison.outcomes))
    with atomic(folder / "comparison.md") as draft:
        draft.write_text(_page(comparison, columns, rows), encoding="utf-8")


def _cells(outcome: Outcome) -> dict[str, Any]:
    values = {name: getattr(outcome, name, None) for name in (*_BEFORE, *_AFTER)}
    values["parameters_m"] = None if outcome.parameters is None else outcome.parameters / 1e6
    cells = {
        name: f"{value:.{_DECIMALS[name]}f}" if name in _DECIMALS and value is not None else value
        for name, value in values.items()
    }
    return cells | {f"dice_{name}": f"{value:.4f}" for name, value in outcome.dice.items()}


def _page(comparison: Comparison, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    shown = [name for name in columns if name not in ("reason", "source")]
    lines = [
        "# Recipes compared",
        "",
        f"Trained on the same {comparison.trained} patients with the same budget in images, judged on"
        f" the same {comparison.judged} others. Dice: mean over images at their own resolution. EF: points,"
        " guideline"
        " convention, predicted minus reference, both measured by this package. ms_per_frame: the network"
        f" alone at timed_px, fp32, CPU, {comparison.threads} thread(s), one frame, median, in turns with the"
        f" others; ratio: over {REFERENCE} at {REFERENCE_PX} px. Differences that come from the seed are not"
        " in here.",
        "",
        *named_table(shown, rows),
        "",
        "![Dice against time](comparison.png)",
    ]
    failed = [f"- {outcome.recipe}: {outcome.reason}" for outcome in comparison.outcomes if outcome.reason]
    lines += ["", "## Not compared", "", *failed] if failed else []
    sources = [f"- {outcome.recipe}: {outcome.source}" for outcome in comparison.outcomes if outcome.source]
    return "\n".join([*lines, "", "## Sources", "", *sources, ""])
