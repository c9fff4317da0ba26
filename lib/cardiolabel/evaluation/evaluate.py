"""Predicted masks judged against references: masks, volumes and EF, and whether they could be hearts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from cardiolabel.domain import Record
from cardiolabel.errors import DatasetError, ImageContentError, InputError
from cardiolabel.evaluation.images import Compared, ScoreRow, Side, ValidityRow, compare_image
from cardiolabel.evaluation.patients import PairRow, agreement_json, not_measurable_json, pair_patient
from cardiolabel.evaluation.sources import Sources, open_sources
from cardiolabel.evaluation.summary import compared_structures, structures_json, validity_json
from cardiolabel.measurements.records import MaskedImage

SCHEMA = "cardiolabel-evaluation-1"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything found, image by image and patient by patient.

    ``problems`` pairs an image, or a patient without images, with why it could not be compared;
    ``remarks`` name structures that were left out or never predicted.
    """

    sources: Sources
    scores: tuple[ScoreRow, ...]
    validity: tuple[ValidityRow, ...]
    pairs: tuple[PairRow, ...]
    problems: tuple[tuple[str, str], ...]
    remarks: tuple[dict[str, Any], ...]
    seed: int

    def as_json(self) -> dict[str, Any]:
        """The summary as JSON-safe values, None for what was not measured.

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
    overlap_only: bool = False,
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
    overlap_only : bool
        As `compare_image`.
    on_progress : callable
        Called with images done and images in all.

    Raises
    ------
    DatasetError, ManifestError
        Nothing to compare: see `cardiolabel.evaluation.sources.open_sources`.
    """
    sources = open_sources(predicted, reference, studies=studies, patients=patients, splits=splits)
    done = 0
    by_patient = sorted(sources.records, key=lambda record: record.patient)
    compared: list[Compared] = []
    pairs: list[PairRow] = []
    problems = [(name, "no image of this patient in the studies folder") for name in sources.absent_patients]
    for _, of_patient in groupby(by_patient, key=lambda record: record.patient):
        records = list(of_patient)
        masks: dict[Side, dict[str, MaskedImage]] = {side: {} for side in Side}
        reasons: dict[str, str] = {}
        for record in records:
            try:
                ours, theirs = _masks(record, sources)
                compared.append(
                    compare_image(record, ours, theirs, sources.segmented, overlap_only=overlap_only)
                )
                masks[Side.PREDICTED][record.image_id] = ours
                masks[Side.REFERENCE][record.image_id] = theirs
            except (InputError, OSError) as error:
                reasons[record.image_id] = str(error)
            done += 1
            on_progress(done, len(by_patient))
        pairs += pair_patient(records, masks[Side.PREDICTED], masks[Side.REFERENCE], reasons)
        problems += reasons.items()
    if not compared:
        image_id, reason = problems[-1]
        raise DatasetError(f"{sources.predicted}: no image can be compared; {image_id}: {reason}")
    scores, remarks = compared_structures(compared, sources.segmented)
    validity = tuple(row for each in compared for row in each.validity)
    return Evaluation(sources, scores, validity, tuple(pairs), tuple(problems), remarks, seed)


def _masks(record: Record, sources: Sources) -> tuple[MaskedImage, MaskedImage]:
    """Both masks of an image; an error names whose could not be used."""
    found = []
    for side, path in (
        (Side.PREDICTED, sources.predicted_file(record)),
        (Side.REFERENCE, sources.reference_file(record)),
    ):
        try:
            found.append(sources.studies.masked(record, path))
        except (InputError, OSError) as error:
            raise ImageContentError(f"{side} mask: {error}") from error
    ours, theirs = found
    return ours, theirs
