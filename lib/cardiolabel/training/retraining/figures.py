"""Accuracy of a model on patients that it was not trained on: Dice and EF error of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cardiolabel.domain import Convention, Record
from cardiolabel.evaluation.pairs import PairScores, compare_pairs
from cardiolabel.inference.predictor import Predictor
from cardiolabel.measurements.records import MaskedImage
from cardiolabel.measurements.structures import structure_values
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.studies.predicted import masked_image
from cardiolabel.studies.studies import Studies


@dataclass(frozen=True)
class Figures:
    """Accuracy by patient: ``dice``, the mean over structures and images; ``lv_dice``, that of the LV cavity.

    ``ef_error_pct`` is the absolute EF difference from the reference masks in points (guideline; the most
    trusted method measured on both sides), without patients that have none.
    """

    dice: dict[str, float]
    lv_dice: dict[str, float]
    ef_error_pct: dict[str, float]


def figures(
    predictor: Predictor,
    records: Collection[Record],
    studies: Path,
    *,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Figures:
    """Predict images and compare the masks with their references.

    Parameters
    ----------
    predictor : Predictor
    records : collection of Record
        Images with references.
    studies : Path
        Studies folder with the references in ``labels/final``.
    on_progress : callable
        Told images done.

    Raises
    ------
    DatasetError
        No image can be compared.
    """
    reader = Studies(studies)

    def masks_of(record: Record) -> tuple[MaskedImage, MaskedImage]:
        image = reader.image(record)
        masks = predictor.predict(image.clip)
        record.labels.check(masks, record.image_id)
        reference = reader.masked(record, StudiesLayout(studies).label(record.image_id))
        return masked_image(record, masks, image.grid, record.labels), reference

    scores = compare_pairs(
        list(records),
        masks_of,
        segmented=frozenset(structure_values(predictor.labels)),
        overlap_only=True,
        on_progress=lambda done, total: on_progress(done),
    )
    return Figures(_dice(scores), _dice(scores, "lv_cavity"), _ef_error_pct(scores))


def _dice(scores: PairScores, structure: str | None = None) -> dict[str, float]:
    """Return the mean Dice of each patient over its images and the structures that its references have."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in scores.scores:
        if row.score.dice is not None and structure in (None, row.score.structure):
            values[row.record.patient].append(row.score.dice)
    return {patient: float(np.mean(dices)) for patient, dices in values.items()}


def _ef_error_pct(scores: PairScores) -> dict[str, float]:
    errors: dict[str, float] = {}
    for pair in scores.pairs:
        both = pair.both("ef_pct")
        if both and pair.reference.convention is Convention.GUIDELINE:
            errors.setdefault(pair.reference.patient, abs(both[0] - both[1]))
    return errors
