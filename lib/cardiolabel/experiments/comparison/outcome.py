"""Result of one recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cardiolabel.domain import Convention, Phase


@dataclass(frozen=True)
class Outcome:
    """A recipe's row; ``reason`` says why there are no figures.

    ``images`` of ``input_px`` were trained on, ``parameters`` are the network's. ``dice`` holds means over
    images by structure and phase (``lv_cavity_ED``), ``ef_mae`` and ``ef_bias`` EF points by ``ef_method`` in
    the guideline convention, of ``ef_n`` patients. ``begins_with`` tells which weights were there before
    training. ``ms_per_frame`` is the network's time at ``timed_px``, the recipe's own size, ``ratio`` that
    time over the plain U-Net's.
    """

    recipe: str
    source: str = ""
    network: str = ""
    parameters: int | None = None
    input_px: int | None = None
    timed_px: int | None = None
    begins_with: str = ""
    images: int | None = None
    training_minutes: float | None = None
    dice: Mapping[str, float] = field(default_factory=dict)
    ef_method: str = ""
    ef_n: int | None = None
    ef_mae: float | None = None
    ef_bias: float | None = None
    ms_per_frame: float | None = None
    ratio: float | None = None
    reason: str = ""


def quality(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return Dice at ED and ES, and EF agreement by the most trusted method, from an evaluation.

    Parameters
    ----------
    found : mapping
        As `cardiolabel.evaluation.evaluate.Evaluation.as_json` gives it.

    Returns
    -------
    dict
        `Outcome`'s ``dice`` and ``ef_…``; the latter only if three patients or more were measured.
    """
    dice = {
        f"{structure}_{group['of']}": group["metrics"]["dice"]["mean"]
        for structure, groups in summary["structures"].items()
        for group in groups
        if group["group"] == "phase" and group["of"] in (Phase.ED, Phase.ES)
    }
    figures: dict[str, Any] = {"dice": {name: mean for name, mean in dice.items() if mean is not None}}
    for row in summary["agreement"]:
        guideline = row["quantity"] == "ef_pct" and row["convention"] == Convention.GUIDELINE
        if guideline and row["mae"] is not None:
            named = {"ef_method": "method", "ef_n": "n", "ef_mae": "mae", "ef_bias": "bias"}
            return figures | {ours: row[theirs] for ours, theirs in named.items()}
    return figures
