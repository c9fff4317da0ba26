"""Whether a retrained model may take the place of the published one: both judged by the same patients."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cardiolabel.domain import Convention, Record
from cardiolabel.errors import DatasetError, InputError
from cardiolabel.evaluation.evaluate import Evaluation, evaluate
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io import nifti
from cardiolabel.measurements.bootstrap import bootstrap_intervals
from cardiolabel.predicted import write_model_note

LEAST_PATIENTS = 5
"""Fewer tell nothing: nothing is published by them."""

DICE_LOSS, EF_LOSS_PCT = 0.01, 2.0
"""What the 95 % interval of the difference must exclude: mean Dice lost, points of EF error gained."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Difference:
    """A figure of both models over the same patients; ``low`` and ``high`` are of their difference.

    ``candidate - published`` is what ``difference`` and its 95 % interval hold.
    """

    patients: int
    published: float
    candidate: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    """Whether the candidate is published, and why or why not.

    ``dice`` is the mean over a patient's structures and images, ``ef_error_pct`` the absolute difference from
    the EF of the reference masks, in points of EF; None where too few patients have it.
    """

    promoted: bool
    reason: str
    patients: int
    dice: Difference | None = None
    ef_error_pct: Difference | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe form."""
        return asdict(self)


def judge(
    published: Predictor,
    candidate: Predictor,
    records: Collection[Record],
    studies: Path,
    *,
    seed: int = 0,
    on_progress: Progress = lambda done, total: None,
) -> Verdict:
    """Predict the validation patients with both models and compare what comes of it.

    Parameters
    ----------
    published, candidate : Predictor
        Of the same labels.
    records : collection of Record
        Images of the validation patients.
    studies : Path
        Studies folder with the references in ``labels/final``.
    seed : int
        For the intervals.

    Raises
    ------
    OSError
        Masks cannot be written.
    """
    patients = {record.patient for record in records}
    if len(patients) < LEAST_PATIENTS:
        reason = (
            f"{len(patients)} validation patients are too few to judge by; at least {LEAST_PATIENTS} are"
            " needed: label more patients"
        )
        return Verdict(False, reason, len(patients))
    with tempfile.TemporaryDirectory(prefix="cardiolabel-judged-") as folder:
        both = []
        for number, predictor in enumerate((published, candidate)):
            where, before = Path(folder) / str(number), number * len(records)

            def show(done: int, before: int = before) -> None:
                on_progress(before + done, 2 * len(records))

            _predict(predictor, records, where, show)
            try:
                both.append(evaluate(where / "labels", studies))
            except DatasetError as error:
                return Verdict(False, f"the models cannot be compared: {error}", len(patients))
    return verdict(*map(_dice, both), *map(_ef_error_pct, both), seed=seed)


def verdict(
    dice: Mapping[str, float],
    new_dice: Mapping[str, float],
    ef_error_pct: Mapping[str, float],
    new_ef_error_pct: Mapping[str, float],
    *,
    seed: int = 0,
) -> Verdict:
    """Compare by patient; the candidate must be no worse, and no interval may leave room for a real loss.

    Parameters
    ----------
    dice, new_dice : mapping of str to float
        Mean Dice of each patient by the published model and by the candidate.
    ef_error_pct, new_ef_error_pct : mapping of str to float
        Absolute EF error of each patient, in points.
    """
    found = _difference(dice, new_dice, seed)
    error = _difference(ef_error_pct, new_ef_error_pct, seed)
    if found is None:
        reason = f"{len(dice.keys() & new_dice.keys())} patients could be compared, too few to judge by"
        return Verdict(False, reason, len(dice.keys() & new_dice.keys()))
    worse = []
    if found.difference < 0:
        worse.append(f"Dice falls from {found.published:.4f} to {found.candidate:.4f}")
    elif found.low < -DICE_LOSS:
        worse.append(f"Dice could be worse by {-found.low:.3f} (95 % interval)")
    if error and error.difference > 0:
        worse.append(f"the EF error grows from {error.published:.1f} to {error.candidate:.1f} points")
    elif error and error.high > EF_LOSS_PCT:
        worse.append(f"the EF error could be worse by {error.high:.1f} points (95 % interval)")
    better = f"Dice {found.published:.4f} -> {found.candidate:.4f}" + (
        f", EF error {error.published:.1f} -> {error.candidate:.1f} points"
        if error
        else "; too few patients have an EF to judge it"
    )
    return Verdict(not worse, "; ".join(worse) or better, found.patients, found, error)


def _difference(old: Mapping[str, float], new: Mapping[str, float], seed: int) -> Difference | None:
    common = sorted(old.keys() & new.keys())
    if len(common) < LEAST_PATIENTS:
        return None
    before, after = (np.array([side[patient] for patient in common]) for side in (old, new))
    low, high = bootstrap_intervals(after, before, seed=seed).bias
    return Difference(
        len(common), float(before.mean()), float(after.mean()), float((after - before).mean()), low, high
    )


def _predict(
    predictor: Predictor, records: Collection[Record], folder: Path, show: Callable[[int], None]
) -> None:
    """Masks as files; an image that cannot be read has none on either side."""
    write_model_note(predictor, folder)
    for done, record in enumerate(records, start=1):
        try:
            image = nifti.read(record.path)
            masks = predictor.predict(image.clip)
            nifti.write_mask_like(masks, folder / "labels" / f"{record.image_id}.nii.gz", grid=image.grid)
        except InputError:
            pass
        show(done)


def _dice(found: Evaluation) -> dict[str, float]:
    """Mean Dice of each patient over its images and the structures that its references have."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in found.scores:
        if row.score.dice is not None:
            values[row.record.patient].append(row.score.dice)
    return {patient: float(np.mean(some)) for patient, some in values.items()}


def _ef_error_pct(found: Evaluation) -> dict[str, float]:
    """Absolute EF error of each patient by the most trusted method that both sides could be measured by."""
    errors: dict[str, float] = {}
    for pair in found.pairs:
        both = pair.both("ef_pct")
        if both and pair.reference.convention is Convention.GUIDELINE:
            errors.setdefault(pair.reference.patient, abs(both[0] - both[1]))
    return errors
