"""Decision whether a retrained model replaces the published one, judged on the same patients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cardiolabel.domain import Record
from cardiolabel.errors import DatasetError
from cardiolabel.inference.predictor import Predictor
from cardiolabel.measurements.bootstrap import bootstrap_intervals
from cardiolabel.training.retraining.figures import Figures, figures

LEAST_PATIENTS = 5
"""Fewest validation patients for a promotion."""

DICE_LOSS, EF_LOSS_PCT = 0.01, 2.0
"""Losses that the 95 % interval of the difference must exclude: in mean Dice, and in EF error in points."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Difference:
    """A figure of both models over the same patients.

    ``difference`` is ``candidate - published``, with ``low`` and ``high`` its 95 % interval.
    """

    patients: int
    published: float
    candidate: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    """Decision on the candidate, with the reason.

    ``dice`` and ``ef_error_pct`` are those of `Figures`; None where too few patients have them.
    ``dice_by_quality`` groups patients by the quality of their worst image. ``candidate`` names the judged
    one of several.
    """

    promoted: bool
    reason: str
    patients: int
    dice: Difference | None = None
    ef_error_pct: Difference | None = None
    dice_by_quality: Mapping[str, Difference] = field(default_factory=dict)
    candidate: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-safe form."""
        return asdict(self)


def judge(
    published: Predictor,
    candidates: Mapping[str, Predictor],
    records: Collection[Record],
    studies: Path,
    *,
    seed: int = 0,
    on_progress: Progress = lambda done, total: None,
) -> Verdict:
    """Predict the validation patients with all models and compare the results.

    Of several candidates the one with the highest mean Dice counts, among those that may be published, if
    any.

    Parameters
    ----------
    published : Predictor
    candidates : mapping of str to Predictor
        At least one, by name; of the same labels.
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
    judged: list[Figures] = []
    total = (1 + len(candidates)) * len(records)

    def show(done: int) -> None:
        on_progress(len(judged) * len(records) + done, total)

    try:
        for predictor in (published, *candidates.values()):
            judged.append(figures(predictor, records, studies, on_progress=show))
    except DatasetError as error:
        return Verdict(False, f"the models cannot be compared: {error}", len(patients))
    quality = _worst_quality(records)
    verdicts = [
        replace(verdict(judged[0], figures_of, quality=quality, seed=seed), candidate=name)
        for name, figures_of in zip(candidates, judged[1:], strict=True)
    ]
    return max(verdicts, key=lambda each: (each.promoted, each.dice.candidate if each.dice else 0.0))


def verdict(
    published: Figures, candidate: Figures, *, quality: Mapping[str, str] | None = None, seed: int = 0
) -> Verdict:
    """Compare by patient; the candidate must be no worse, and the intervals must exclude a real loss.

    It is no worse if neither mean Dice nor mean EF error is worse, or if one is surely better and the other
    worse by no more than chance explains.

    Parameters
    ----------
    published, candidate : Figures
        Patients that only one of them has do not count.
    quality : mapping of str to str, optional
        Image quality of patients, for what is told of each.
    seed : int
        For the intervals.
    """
    difference = _difference(published.dice, candidate.dice, seed)
    error = _difference(published.ef_error_pct, candidate.ef_error_pct, seed)
    if difference is None:
        both = len(published.dice.keys() & candidate.dice.keys())
        return Verdict(False, f"{both} patients could be compared, too few to judge by", both)
    parts: dict[str, dict[str, float]] = defaultdict(dict)
    for patient, dice in published.dice.items():
        parts[(quality or {}).get(patient, "unknown")][patient] = dice
    compared = {part: _difference(parts[part], candidate.dice, seed) for part in sorted(parts)}
    by_quality = {quality_name: part for quality_name, part in compared.items() if part}
    worse = []
    if difference.difference < 0 and not (difference.high > 0 and error and error.high < 0):
        worse.append(f"Dice falls from {difference.published:.4f} to {difference.candidate:.4f}")
    elif difference.low < -DICE_LOSS:
        worse.append(f"Dice could be worse by {-difference.low:.3f} (95 % interval)")
    if error and error.difference > 0 and not (error.low < 0 and difference.low > 0):
        worse.append(f"the EF error grows from {error.published:.1f} to {error.candidate:.1f} points")
    elif error and error.high > EF_LOSS_PCT:
        worse.append(f"the EF error could be worse by {error.high:.1f} points (95 % interval)")
    better = f"Dice {difference.published:.4f} -> {difference.candidate:.4f}" + (
        f", EF error {error.published:.1f} -> {error.candidate:.1f} points"
        if error
        else "; too few patients have an EF to judge it"
    )
    return Verdict(not worse, "; ".join(worse) or better, difference.patients, difference, error, by_quality)


def _difference(old: Mapping[str, float], new: Mapping[str, float], seed: int) -> Difference | None:
    common = sorted(old.keys() & new.keys())
    if len(common) < LEAST_PATIENTS:
        return None
    before, after = (np.array([side[patient] for patient in common]) for side in (old, new))
    low, high = bootstrap_intervals(after, before, seed=seed).bias
    return Difference(
        len(common), float(before.mean()), float(after.mean()), float((after - before).mean()), low, high
    )


def _worst_quality(records: Collection[Record]) -> dict[str, str]:
    """Return the image quality of each patient's worst image: Good, Medium or Poor in CAMUS."""
    qualities: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if record.image_quality:
            qualities[record.patient].add(record.image_quality)
    return {patient: max(grades, key=_badness) for patient, grades in qualities.items()}


def _badness(quality: str) -> tuple[int, str]:
    order = ("Good", "Medium", "Poor")
    return order.index(quality) if quality in order else -1, quality
