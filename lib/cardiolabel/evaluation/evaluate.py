"""Folders of predicted masks compared with references: overlap, volumes, EF and validity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cardiolabel.domain import Record
from cardiolabel.errors import DatasetError, ImageContentError, InputError
from cardiolabel.evaluation.images import Side
from cardiolabel.evaluation.pairs import PairScores, compare_pairs
from cardiolabel.evaluation.patients import agreement_json, not_measurable_json
from cardiolabel.evaluation.sources import Sources, open_sources
from cardiolabel.evaluation.summary import structures_json, validity_json
from cardiolabel.measurements.records import MaskedImage

SCHEMA = "cardiolabel-evaluation-1"


@dataclass(frozen=True, eq=False)
class Evaluation(PairScores):
    """Scores of two folders of masks.

    Parameters
    ----------
    sources : Sources
        The folders and the selected patients.
    seed : int
        Of the bootstrap intervals.
    problems : tuple of (str, str)
        Images that could not be compared, and patients without images, and why.
    """

    sources: Sources
    seed: int

    def as_json(self) -> dict[str, Any]:
        """Return the summary as JSON-safe values, None for what was not measured.

        Returns
        -------
        dict
            ``schema``; ``selection``, ``patients`` and ``images`` (compared), ``splits`` (how many of the
            patients each part of the official split has); ``structures``, ``remarks``, ``validity``,
            ``agreement``, ``not_measurable`` and ``problems``. See `summary.structures_json`,
            `summary.validity_json`, `patients.agreement_json` and `patients.not_measurable_json`.
        """
        compared = {row.record.image_id: row.record for row in self.scores}
        split_of = {record.patient: record.split or "" for record in compared.values()}
        return {
            "schema": SCHEMA,
            "selection": self.sources.selection,
            "patients": len(split_of),
            "images": len(compared),
            "images_without_reference": self.sources.without_reference,
            "splits": dict(sorted(Counter(split_of.values()).items())),
            "structures": structures_json(self.scores),
            "remarks": list(self.remarks),
            "validity": validity_json(self.validity),
            "agreement": agreement_json(self.pairs, seed=self.seed),
            "not_measurable": not_measurable_json(self.pairs),
            "problems": [{"name": name, "reason": reason} for name, reason in self.problems],
        }


def evaluate(
    predicted: Path,
    reference: Path,
    *,
    studies: Path | None = None,
    patients: Path | None = None,
    splits: Sequence[str] = (),
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Compare predicted masks with the references of the same images.

    Structures are those of the dataset's label set, and the epicardium: cavity and myocardium together.
    Volumes and EF are measured from both sides' masks by this package, so that what differs is the masks.

    Parameters
    ----------
    predicted : Path
        A folder of ``<image_id>.nii.gz``, or what ``cardiolabel infer`` wrote.
    reference : Path
        A studies folder with ``labels/final``; with ``studies``, any folder of masks.
    studies : Path, optional
        The images' studies folder, if it is not ``reference``.
    patients : Path, optional
        A text file of the patients to judge by.
    splits : sequence of str
        Parts of the official split to judge by, such as VAL.
    seed : int
        For the bootstrap intervals.
    on_progress : callable
        Called with images done and images in all.

    Raises
    ------
    DatasetError, ManifestError
        Nothing to compare: see `cardiolabel.evaluation.sources.open_sources`.
    """
    sources = open_sources(predicted, reference, studies=studies, patients=patients, splits=splits)
    absent = [(name, "no image of this patient in the studies folder") for name in sources.absent_patients]
    try:
        compared = compare_pairs(
            sources.records,
            partial(_masks, sources=sources),
            segmented=sources.segmented,
            on_progress=on_progress,
        )
    except DatasetError as error:
        raise DatasetError(f"{sources.predicted}: {error}") from error
    return Evaluation(
        compared.scores,
        compared.validity,
        compared.pairs,
        (*absent, *compared.problems),
        compared.remarks,
        sources=sources,
        seed=seed,
    )


def _masks(record: Record, sources: Sources) -> tuple[MaskedImage, MaskedImage]:
    """Read both masks of an image; an error names the mask that cannot be used."""
    masks = []
    for side, path in (
        (Side.PREDICTED, sources.predicted_file(record)),
        (Side.REFERENCE, sources.reference_file(record)),
    ):
        try:
            masks.append(sources.studies.masked(record, path))
        except (InputError, OSError) as error:
            raise ImageContentError(f"{side} mask: {error}") from error
    predicted, reference = masks
    return predicted, reference
