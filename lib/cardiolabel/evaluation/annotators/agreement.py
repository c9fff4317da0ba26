"""Comparison of every two annotators, as JSON-safe values."""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import combinations
from typing import Any

from cardiolabel.domain import Record
from cardiolabel.evaluation.annotators.case import Case
from cardiolabel.evaluation.annotators.ef import ef_agreement, trust
from cardiolabel.evaluation.annotators.images import image_row, structure_means
from cardiolabel.studies.reading import Reading
from cardiolabel.studies.studies import Studies

SCHEMA = "cardiolabel-agreement-1"


def agreement_json(readings: Sequence[Reading], studies: Studies) -> dict[str, Any]:
    """Compare every two annotators on the images that both segmented.

    Differences are those of the annotator first in the alphabet minus the other. EF is measured from the
    shared images only, so that it differs only by what they drew. An image with an unreadable or unfitting
    mask is left out of both annotators' EF.

    Parameters
    ----------
    readings : sequence of Reading
        Of several for one image and annotator the last one stored counts.
    studies : Studies
        Where the images are.

    Returns
    -------
    dict
        JSON-safe, None for what was not measured. ``annotators``: all of them, with how many images
        each read and shares. ``pairs``, of those who share an image: ``annotators`` (two names),
        ``images`` (Dice and Hausdorff distance per structure, see `StructureAgreement`), ``structures``
        (their means over images), ``patients`` (EF of both in percent, difference in EF points) and
        ``ef`` (per method and convention the bias, SD, 95 % limits of agreement with confidence
        intervals, and mean absolute difference, in EF points). ``reason`` and ``reasons`` say why
        something is None.

    Raises
    ------
    DatasetError, ManifestError
        The studies folder is not there or its manifest is malformed.

    References
    ----------
    Bland and Altman 1986, doi 10.1016/S0140-6736(86)90837-8.
    """
    read: dict[str, dict[str, Reading]] = {}
    for reading in sorted(readings, key=lambda reading: (reading.sequence, reading.saved_at)):
        read.setdefault(reading.image_id, {})[reading.annotator] = reading
    names = sorted({name for by_name in read.values() for name in by_name})
    shared = {image_id: by_name for image_id, by_name in read.items() if len(by_name) > 1}
    pairs = [_Pair(both) for both in combinations(names, 2)]
    record_of, by_patient = studies.by_id(), dict[str, list[Record]]()
    for record in record_of.values():
        if record.image_id in shared:
            by_patient.setdefault(record.patient, []).append(record)
    for records in by_patient.values():
        case = Case(records, shared, studies)
        for pair in pairs:
            pair.add(case)
    for image_id in sorted(shared.keys() - record_of.keys()):
        for pair in pairs:
            pair.add_gone(image_id, shared[image_id])
    return {
        "schema": SCHEMA,
        "annotators": [
            {
                "annotator": name,
                "images": sum(name in by_name for by_name in read.values()),
                "shared_images": sum(name in by_name for by_name in shared.values()),
            }
            for name in names
        ],
        "pairs": [pair.as_json() for pair in pairs if pair.images],
    }


class _Pair:
    """Two annotators and the comparisons of their shared images."""

    def __init__(self, names: tuple[str, str]) -> None:
        self.names = names
        self.images: list[dict[str, Any]] = []
        self._patients: list[dict[str, Any]] = []

    def add(self, case: Case) -> None:
        """Compare both annotators on one patient."""
        if records := case.shared(self.names):
            self.images += [case.image_row(record, self.names) for record in records]
            self._patients.append(case.patient_row(records, self.names))

    def add_gone(self, image_id: str, names: Container[str]) -> None:
        """Record an image that is no longer there, if both annotators segmented it."""
        if all(name in names for name in self.names):
            reason = f"no image {image_id!r} in this studies folder"
            self.images.append(image_row(image_id, None, reason))

    def as_json(self) -> dict[str, Any]:
        """Return an entry of ``pairs``."""
        ef = [row for patient in self._patients for row in patient["ef"]]
        kinds = dict.fromkeys((row["method"], row["convention"]) for row in ef)
        return {
            "annotators": list(self.names),
            "images": self.images,
            "structures": structure_means(self.images),
            "patients": self._patients,
            "ef": [
                ef_agreement(kind, [row for row in ef if (row["method"], row["convention"]) == kind])
                for kind in sorted(kinds, key=trust)
            ],
        }
