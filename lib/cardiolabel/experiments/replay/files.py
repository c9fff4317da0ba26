"""Files of a replay: a table, a page and a figure."""

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
    rows = [
        _cells(annotation_round, before)
        for annotation_round, before in zip(rounds, [None, *rounds], strict=False)
    ]
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


def gap_closed(annotation_round: Round, before: Round | None) -> float | None:
    """Return the Dice gain of a round over that of training from scratch; None where the latter gains
    nothing.
    """
    if not (annotation_round.served and annotation_round.scratch and before and before.served):
        return None
    gap = annotation_round.scratch.dice - before.served.dice
    return (annotation_round.served.dice - before.served.dice) / gap if gap > 0 else None


def _cells(annotation_round: Round, before: Round | None) -> dict[str, Any]:
    def rounded(value: float | None, digits: int) -> float | None:
        return None if value is None else round(value, digits)

    cells: dict[str, Any] = {
        "patients": annotation_round.patients,
        "images": annotation_round.images,
        "offered_by": annotation_round.offered_by,
        "epochs": annotation_round.epochs,
        "offered_lv_dice": rounded(annotation_round.offered_lv_dice, 4),
        "version": annotation_round.version,
        "reason": annotation_round.reason,
        "judged_by": annotation_round.served.patients if annotation_round.served else None,
        "gap_closed": rounded(gap_closed(annotation_round, before), 2),
    }
    for name, seconds in (
        ("annotation_min", annotation_round.annotation_s),
        ("training_min", annotation_round.training_s),
        ("scratch_min", annotation_round.scratch_s),
    ):
        cells[name] = rounded(None if seconds is None else seconds / 60, 1)
    for prefix, quality in (("", annotation_round.served), ("scratch_", annotation_round.scratch)):
        for name, digits in (("dice", 4), ("lv_dice", 4), ("ef_mae_pct", 2)):
            cells[prefix + name] = rounded(getattr(quality, name) if quality else None, digits)
    return cells


def rounds_png(rounds: Sequence[Round]) -> bytes:
    """Draw Dice, EF error and minutes over the patients with labels as PNG.

    Returns
    -------
    bytes
        A PNG file.
    """
    curves = PatientCurves(
        ("LV cavity, mean Dice", "EF, mean absolute error (points)", "minutes"),
        [annotation_round.patients for annotation_round in rounds],
    )
    dice, ef, minutes = curves.axes
    served, scratch = "served after the round", "from scratch on the same labels"
    for name, color, attribute in ((served, _SERVED, "served"), (scratch, _SCRATCH, "scratch")):
        qualities = [
            (annotation_round.patients, measured)
            for annotation_round in rounds
            if (measured := getattr(annotation_round, attribute))
        ]
        _line_of(dice, [(patients, quality.lv_dice) for patients, quality in qualities], color, name)
        _line_of(ef, [(patients, quality.ef_mae_pct) for patients, quality in qualities], color, name)
    _line_of(
        dice,
        [(annotation_round.patients, annotation_round.offered_lv_dice) for annotation_round in rounds[1:]],
        _OFFERED,
        "offered in the round",
    )
    for name, color, attribute in (
        ("retraining", _SERVED, "training_s"),
        ("training from scratch", _SCRATCH, "scratch_s"),
    ):
        taken = [
            (annotation_round.patients, getattr(annotation_round, attribute)) for annotation_round in rounds
        ]
        _line_of(minutes, [(patients, s and s / 60) for patients, s in taken], color, name)
    minutes.set_ylim(bottom=0)
    return curves.png()


def _line_of(axes: Axes, points: Sequence[tuple[int, float | None]], color: str, name: str) -> None:
    drawn = [(x, y) for x, y in points if y is not None]
    if drawn:
        axes.plot(*zip(*drawn, strict=True), color=color, marker="o", markersize=5, label=name)
