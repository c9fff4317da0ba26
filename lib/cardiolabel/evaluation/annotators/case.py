"""One patient, segmented by several annotators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cardiolabel.domain import Record
from cardiolabel.errors import InputError
from cardiolabel.evaluation.annotators.ef import ef_row
from cardiolabel.evaluation.annotators.images import image_row, structures_json
from cardiolabel.measurements.records import MaskedImage, PatientRow
from cardiolabel.measurements.study import measure_study
from cardiolabel.studies.predicted import without_masks
from cardiolabel.studies.reading import Reading
from cardiolabel.studies.studies import Studies


class Case:
    """The shared images of one patient with every annotator's masks, each read and measured once."""

    def __init__(
        self, records: list[Record], read: Mapping[str, Mapping[str, Reading]], studies: Studies
    ) -> None:
        self._records = records
        self._masked = {
            (record.image_id, name): _masked(record, reading, studies)
            for record in records
            for name, reading in read[record.image_id].items()
        }
        self._rows: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[PatientRow, ...]] = {}

    def shared(self, names: tuple[str, str]) -> list[Record]:
        """List the images that both annotators segmented."""
        return [
            record
            for record in self._records
            if all((record.image_id, name) in self._masked for name in names)
        ]

    def image_row(self, record: Record, names: tuple[str, str]) -> dict[str, Any]:
        """Compare both annotators' masks of one image."""
        row = image_row(record.image_id, record, self._problem(record, names))
        if not row["reason"]:
            first, other = (self._masked[record.image_id, name] for name in names)
            row["structures"] = structures_json(first, other, names)
        return row

    def patient_row(self, records: list[Record], names: tuple[str, str]) -> dict[str, Any]:
        """Measure both annotators' EF from the shared images."""
        problems = tuple((record.image_id, self._problem(record, names)) for record in records)
        measured = zip(*(self._measured(name, records, problems) for name in names), strict=True)
        return {
            "patient": records[0].patient,
            "images": [record.image_id for record in records],
            "ef": [ef_row(rows, names) for rows in measured],
        }

    def _problem(self, record: Record, names: tuple[str, str]) -> str:
        return "; ".join(filter(None, (self._masked[record.image_id, name].problem for name in names)))

    def _measured(
        self, name: str, records: list[Record], problems: tuple[tuple[str, str], ...]
    ) -> tuple[PatientRow, ...]:
        key = name, problems
        if key not in self._rows:
            images = [
                without_masks(record, self._masked[record.image_id, name].labels, problem)
                if problem
                else self._masked[record.image_id, name]
                for record, (_, problem) in zip(records, problems, strict=True)
            ]
            self._rows[key] = measure_study(images).rows
        return self._rows[key]


def _masked(record: Record, reading: Reading, studies: Studies) -> MaskedImage:
    try:
        return studies.masked(record, reading.masks_file)
    except (InputError, OSError) as error:
        return without_masks(record, record.labels, f"mask by {reading.annotator}: {error}")
