"""Predicted masks compared with references of the same images, wherever both come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from cardiolabel.domain import Record
from cardiolabel.errors import DatasetError, InputError
from cardiolabel.evaluation.images import Compared, ScoreRow, Side, ValidityRow, compare_image
from cardiolabel.evaluation.patients import PairRow, pair_patient
from cardiolabel.evaluation.summary import compared_structures
from cardiolabel.measurements.records import MaskedImage

__all__ = ["PairScores", "compare_pairs"]


@dataclass(frozen=True, eq=False)
class PairScores:
    """Scores of pairs of masks, image by image and patient by patient.

    Parameters
    ----------
    scores : tuple of ScoreRow
        One per image and structure.
    validity : tuple of ValidityRow
        One per mask.
    pairs : tuple of PairRow
        One per patient, method and convention.
    problems : tuple of (str, str)
        Images that could not be compared, and why.
    remarks : tuple of dict
        Structures that were left out or never predicted.
    """

    scores: tuple[ScoreRow, ...]
    validity: tuple[ValidityRow, ...]
    pairs: tuple[PairRow, ...]
    problems: tuple[tuple[str, str], ...]
    remarks: tuple[dict[str, Any], ...]


def compare_pairs(
    records: Sequence[Record],
    masks_of: Callable[[Record], tuple[MaskedImage, MaskedImage]],
    *,
    segmented: frozenset[str] | None = None,
    overlap_only: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> PairScores:
    """Compare pairs of masks; the masks of one patient are in memory at a time.

    Structures are those of the dataset's label set, and the epicardium: cavity and myocardium together.
    Volumes and EF of both masks are measured by this package, so that what differs is the masks.

    Parameters
    ----------
    records : sequence of Record
        Images to compare.
    masks_of : callable
        Returns the predicted and the reference masks of a record; an image for which it raises InputError
        or OSError becomes one of the ``problems``.
    segmented : frozenset of str, optional
        Structures that the model segments; by default all that the references hold.
    overlap_only : bool
        As `compare_image`.
    on_progress : callable
        Called with images done and images in all.

    Raises
    ------
    DatasetError
        No image could be compared.
    """
    by_patient = sorted(records, key=lambda record: record.patient)
    done = 0
    compared: list[Compared] = []
    pairs: list[PairRow] = []
    problems: list[tuple[str, str]] = []
    for _, of_patient in groupby(by_patient, key=lambda record: record.patient):
        own = list(of_patient)
        masks: dict[Side, dict[str, MaskedImage]] = {side: {} for side in Side}
        reasons: dict[str, str] = {}
        for record in own:
            try:
                predicted, reference = masks_of(record)
                compared.append(
                    compare_image(record, predicted, reference, segmented, overlap_only=overlap_only)
                )
                masks[Side.PREDICTED][record.image_id] = predicted
                masks[Side.REFERENCE][record.image_id] = reference
            except (InputError, OSError) as error:
                reasons[record.image_id] = str(error)
            done += 1
            on_progress(done, len(by_patient))
        pairs += pair_patient(own, masks[Side.PREDICTED], masks[Side.REFERENCE], reasons)
        problems += reasons.items()
    if not compared:
        image_id, reason = problems[-1] if problems else ("none", "no image was given")
        raise DatasetError(f"no image can be compared; {image_id}: {reason}")
    scores, remarks = compared_structures(compared, segmented)
    validity = tuple(row for each in compared for row in each.validity)
    return PairScores(scores, validity, tuple(pairs), tuple(problems), remarks)
