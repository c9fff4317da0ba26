"""Data of a folder's summary page, collected patient by patient."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cardiolabel.domain import Convention
from cardiolabel.errors import InputError
from cardiolabel.evaluation.patients import PairRow, ef_panels
from cardiolabel.inference.predictor import UsedModel
from cardiolabel.io.files import atomic
from cardiolabel.measurements.records import PatientRow, Study
from cardiolabel.measurements.study import measure_study
from cardiolabel.pipeline.overlays import overlay_file
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.reporting.bland_altman import bland_altman_png
from cardiolabel.reporting.summary_page import (
    FolderSummary,
    PatientSummary,
    Reference,
    Source,
    summary_page,
)
from cardiolabel.studies.predicted import without_masks
from cardiolabel.studies.studies import Studies
from cardiolabel.system.readable_text import readable_text

SUMMARY_NAME = "summary.html"

_NAMES = {Source.MASKS: "reference masks", Source.MANIFEST: "manifest"}


class FolderPage:
    """Collects measured patients for ``summary.html``, a line of each and no image.

    Parameters
    ----------
    studies : Studies
        Its ``labels/final``, where there are any, are references.
    out : Path
        Where the page will be.
    overlays : bool
        Whether the images' pictures are in ``out``, so that the page shows them.
    """

    def __init__(self, studies: Studies, out: Path, *, overlays: bool) -> None:
        self._studies, self._out, self._overlays = studies, out, overlays
        self._records = studies.by_patient()
        self._patients: list[PatientSummary] = []
        self._pairs: dict[Source, list[PairRow]] = {source: [] for source in Source}

    def add(self, study: Study) -> None:
        """Add a patient, and measure its reference masks; unreadable ones are ignored."""
        row = study.best(Convention.GUIDELINE) or study.rows[0]
        records = self._records[study.patient] if self._overlays else []
        pictures = (overlay_file(self._out, record.image_id) for record in records)
        shown = tuple(path.stem for path in pictures if path.is_file())
        self._patients.append(PatientSummary(row, self._reference(study, row), shown))

    def write(self, model: UsedModel, *, images: int, problems: Sequence[tuple[str, str]]) -> None:
        """Write the page, whole or not at all.

        Raises
        ------
        OSError
            The folder cannot be written.
        """
        panels = [
            panel
            for source, pairs in self._pairs.items()
            for panel in ef_panels(pairs, reference=_NAMES[source])
        ]
        summary = FolderSummary(
            folder=readable_text(self._studies.folder.resolve().name),
            model=model.as_dict(),
            made=datetime.now().astimezone(),
            images=images,
            patients=self._patients,
            problems=problems,
            bland_altman_png=bland_altman_png(panels, empty="") if panels else None,
        )
        with atomic(self._out / SUMMARY_NAME) as draft, draft.open("w", encoding="utf-8") as page:
            page.writelines(summary_page(summary))

    def _reference(self, study: Study, row: PatientRow) -> Reference | None:
        theirs = self._from_masks(row)
        if theirs is not None and theirs.ef_pct is not None:
            self._pairs[Source.MASKS].append(PairRow(row, theirs))
            return Reference(Source.MASKS, theirs.ef_pct, theirs.convention, row.ef_pct)
        for record in self._records[study.patient]:
            if record.reference_ef_pct is not None:
                return self._from_manifest(study, record.reference_ef_pct, record.reference_convention)
        return None

    def _from_masks(self, row: PatientRow) -> PatientRow | None:
        """Return the EF of the patient's reference masks, by the method and in the convention of the
        prediction.
        """
        records = self._records[row.patient]
        folder = StudiesLayout(self._studies.folder).final
        files = {record.image_id: self._studies.label_file(folder, record) for record in records}
        if not any(path.is_file() for path in files.values()):
            return None
        images = []
        for record in records:
            path = files[record.image_id]
            try:
                images.append(self._studies.masked(record, path))
            except InputError as error:
                images.append(without_masks(record, record.labels, str(error)))
        method = None if row.ef_pct is None else row.method
        return measure_study(images).best(row.convention, method=method)

    def _from_manifest(self, study: Study, ef_pct: float, convention: Convention | None) -> Reference:
        """Return the manifest's EF, to compare with the most trusted prediction in the same convention."""
        ours = study.best(convention) if convention else None
        if ours is None:
            return Reference(Source.MANIFEST, ef_pct, convention, None)
        theirs = PatientRow(study.patient, ours.method, ours.convention, ef_pct=ef_pct)
        self._pairs[Source.MANIFEST].append(PairRow(ours, theirs))
        return Reference(Source.MANIFEST, ef_pct, convention, ours.ef_pct)
