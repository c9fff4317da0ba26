"""What a model is worth to patients it never saw: mean Dice and EF error of each."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cardiolabel.domain import Convention, Record
from cardiolabel.errors import InputError
from cardiolabel.evaluation.evaluate import Evaluation, evaluate
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io import nifti
from cardiolabel.io.images import read_image
from cardiolabel.records.layout import StudiesLayout, file_of
from cardiolabel.studies.predicted import write_model_note


@dataclass(frozen=True)
class Figures:
    """By patient: ``dice``, the mean over structures and images; ``lv_dice``, that of the LV cavity alone.

    ``ef_error_pct`` is the absolute difference from the EF of the reference masks in points (guideline; the
    most trusted method that both sides could be measured by); patients without one are left out.
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
    OSError
        Masks cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="cardiolabel-judged-") as folder:
        where = Path(folder)
        write_model_note(predictor, where)
        for done, record in enumerate(records, start=1):
            try:
                image = read_image(record.path)
                masks = predictor.predict(image.clip)
                nifti.write_mask_like(
                    masks, file_of(StudiesLayout(where).labels, record.image_id), grid=image.grid
                )
            except InputError:
                pass  # without a mask, which its evaluation leaves out
            on_progress(done)
        found = evaluate(StudiesLayout(where).labels, studies, overlap_only=True)
    return Figures(_dice(found), _dice(found, "lv_cavity"), _ef_error_pct(found))


def _dice(found: Evaluation, structure: str | None = None) -> dict[str, float]:
    """Mean Dice of each patient over its images and the structures that its references have."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in found.scores:
        if row.score.dice is not None and structure in (None, row.score.structure):
            values[row.record.patient].append(row.score.dice)
    return {patient: float(np.mean(some)) for patient, some in values.items()}


def _ef_error_pct(found: Evaluation) -> dict[str, float]:
    errors: dict[str, float] = {}
    for pair in found.pairs:
        both = pair.both("ef_pct")
        if both and pair.reference.convention is Convention.GUIDELINE:
            errors.setdefault(pair.reference.patient, abs(both[0] - both[1]))
    return errors
