"""A replay as a table, a page and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from cardiolabel.experiments.replay.replay import Round
from cardiolabel.io.files import atomic
from cardiolabel.reporting.markdown import named_table
from cardiolabel.reporting.patient_curves import PatientCurves
from cardiolabel.reporting.tables import write_table

COLUMNS = (
    "patients",
    "images",
    "offered_by",
    "offered_lv_dice",
    "epochs",
    "version",
    "dice",
    "lv_dice",
    "ef_mae_pct",
    "judged_by",
    "annotation_min",
    "training_min",
    "scratch_dice",
    "scratch_lv_dice",
    "scratch_ef_mae_pct",
    "scratch_min",
    "gap_closed",
    "reason",
)
_SERVED, _SCRATCH, _OFFERED = "#3bceac", "#ee4266", "#ffd23f"


def write_replay(rounds: Sequence[Round], folder: Path, *, about: str) -> None:
    """Write ``rounds.csv``, ``rounds.md`` and ``rounds.png``.

    Parameters
    ----------
    rounds : sequence of Round
    folder : Path
    about : str
        What was replayed, for the page.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    rows = [_cells(one, before) for one, before in zip(rounds, [None, *rounds], strict=False)]
    write_table(folder / "rounds.csv", COLUMNS, rows)
    with atomic(folder / "rounds.png") as draft:
        draft.write_bytes(rounds_png(rounds))
    shown = [name for name in COLUMNS if name != "reason"]
    lines = [
        "# Annotation in rounds",
        "",
        about,
        "",
        "Each row: so many patients have labels, the model was retrained on them by the server, and what it"
        " serves then was judged by held-back patients (judged_by) whom neither server nor model ever saw."
        " dice: mean over structures, images and patients; lv_dice: the LV cavity alone; ef_mae_pct: points,"
        " against the EF of the reference masks, guideline convention. offered_lv_dice: of the predictions"
        " that the annotator was shown in this round. gap_closed: the gain in dice over that of a training"
        " from scratch on the same labels.",
        "",
        *named_table(shown, rows),
        "",
        "![Dice and EF error by round](rounds.png)",
        "",
        *(f"- {row['patients']} patients: {row['reason']}" for row in rows if row["reason"]),
        "",
    ]
    with atomic(folder / "rounds.md") as draft:
        draft.write_text("\n".join(lines), encoding="utf-8")


def gap_closed(one: Round, before: Round | None) -> float | None:
    """Gain in Dice of a round over that of training from scratch; None where the latter gains nothing."""
    if not (one.served and one.scratch and before and before.served):
        return None
    gap = one.scratch.dice - before.served.dice
    return (one.served.dice - before.served.dice) / gap if gap > 0 else None


def _cells(one: Round, before: Round | None) -> dict[str, Any]:
    def rounded(value: float | None, digits: int) -> float | None:
        return None if value is None else round(value, digits)

    found: dict[str, Any] = {
        "patients": one.patients,
        "images": one.images,
        "offered_by": one.offered_by,
        "epochs": one.epochs,
        "offered_lv_dice": rounded(one.offered_lv_dice, 4),
        "version": one.version,
        "reason": one.reason,
        "judged_by": one.served.patients if one.served else None,
        "gap_closed": rounded(gap_closed(one, before), 2),
    }
    for name, seconds in (
        ("annotation_min", one.annotation_s),
        ("training_min", one.training_s),
        ("scratch_min", one.scratch_s),
    ):
        found[name] = rounded(None if seconds is None else seconds / 60, 1)
    for prefix, quality in (("", one.served), ("scratch_", one.scratch)):
        for name, digits in (("dice", 4), ("lv_dice", 4), ("ef_mae_pct", 2)):
            found[prefix + name] = rounded(getattr(quality, name) if quality else None, digits)
    return found


def rounds_png(rounds: Sequence[Round]) -> bytes:
    """Draw Dice, EF error and minutes over the patients with labels as PNG.

    Returns
    -------
    bytes
        A PNG file.
    """
    curves = PatientCurves(
        ("LV cavity, mean Dice", "EF, mean absolute error (points)", "minutes"),
        [one.patients for one in rounds],
    )
    dice, ef, minutes = curves.axes
    served, scratch = "served after the round", "from scratch on the same labels"
    for name, color, attribute in ((served, _SERVED, "served"), (scratch, _SCRATCH, "scratch")):
        known = [(one.patients, found) for one in rounds if (found := getattr(one, attribute))]
        _line_of(dice, [(patients, found.lv_dice) for patients, found in known], color, name)
        _line_of(ef, [(patients, found.ef_mae_pct) for patients, found in known], color, name)
    _line_of(
        dice, [(one.patients, one.offered_lv_dice) for one in rounds[1:]], _OFFERED, "offered in the round"
    )
    for name, color, attribute in (
        ("retraining", _SERVED, "training_s"),
        ("training from scratch", _SCRATCH, "scratch_s"),
    ):
        taken = [(one.patients, getattr(one, attribute)) for one in rounds]
        _line_of(minutes, [(patients, s and s / 60) for patients, s in taken], color, name)
    minutes.set_ylim(bottom=0)
    return curves.png()


def _line_of(axes: Axes, points: Sequence[tuple[int, float | None]], color: str, name: str) -> None:
    known = [(x, y) for x, y in points if y is not None]
    if known:
        axes.plot(*zip(*known, strict=True), color=color, marker="o", markersize=5, label=name)
