"""DICOM objects of all patients of a studies folder, written into a folder for each."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from cardiolabel.dicom_results.export import results, write_results
from cardiolabel.dicom_results.originals import imported_originals, originals
from cardiolabel.errors import CardiolabelError, DatasetError
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.models.models import SOURCES, Models
from cardiolabel.pipeline.short_axis_phases import phase_choice
from cardiolabel.records.layout import FINAL, StudiesLayout
from cardiolabel.records.pseudonyms import pseudonym_key
from cardiolabel.store.store import Store
from cardiolabel.studies.patient_reports import PatientReports
from cardiolabel.studies.studies import Studies

__all__ = ["Exported", "export_folder"]


@dataclass(frozen=True)
class Exported:
    """How many patients and objects were written, and what was not, with the reasons."""

    patients: int
    objects: int
    notes: tuple[tuple[str, str], ...]


def export_folder(
    folder: Path,
    dicom: Path,
    out: Path,
    *,
    models: ModelFolders,
    patients: Collection[str] = (),
    predict: bool = True,
    database_url: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write reports, segmentations and figures as DICOM; the originals are only read.

    Parameters
    ----------
    folder : Path
        The studies folder.
    dicom : Path
        The DICOM files that its images were imported from, in any subfolders; the studies folder itself where
        they were imported in place.
    out : Path
        Gets a folder for each patient; objects that are there already stay.
    models : ModelFolders
    patients : collection of str
        Which ones; all where it is empty.
    predict : bool
        Let models fill in masks that no one has stored.
    database_url : str, optional
        Database of the folder's records; by default the SQLite file within the folder.
    progress : callable, optional
        Called with patients done and patients in all.

    Raises
    ------
    DatasetError, ManifestError
        A folder is missing or malformed, ``dicom`` holds no DICOM file, or a patient is not there.
    InputError, OSError
        The key of the pseudonyms is damaged, or ``out`` cannot be written to.
    """
    studies = Studies(folder, models=Models(SOURCES.values(), models))
    reports = PatientReports(studies)
    chosen = list(patients) or list(studies.by_patient())
    if missing := set(chosen) - studies.by_patient().keys():
        raise DatasetError(f"{folder}: no patient {', '.join(sorted(missing))}")
    images = [record.image_id for patient in chosen for record in studies.of_patient(patient)]
    if dicom.resolve() == folder.resolve():
        dicom_images = imported_originals(folder, images)
    else:
        key, phases = pseudonym_key(), phase_choice(models)
        dicom_images = originals(dicom, images, key=key, choose_phases=phases)
    notes: list[tuple[str, str]] = []
    exported = objects = 0
    for done, patient in enumerate(chosen, start=1):
        try:
            authors = _authors(studies, patient, database_url)
            made = results(reports, patient, dicom_images, authors=authors, predict=predict)
            objects += len(write_results(made.objects, out / patient))
            notes += made.notes
            exported += 1
        except CardiolabelError as error:
            notes.append((patient, str(error)))
        if progress is not None:
            progress(done, len(chosen))
    return Exported(exported, objects, tuple(notes))


def _authors(studies: Studies, patient: str, database_url: str | None) -> tuple[str, ...]:
    """Return the people who drew the patient's final masks, as the store names them."""
    if database_url is None and not StudiesLayout(studies.folder).database.is_file():
        return ()
    store = Store(studies.folder, records=studies.by_id, url=database_url, watch=False)
    try:
        labels = [store.label(record.image_id, FINAL) for record in studies.of_patient(patient)]
    finally:
        store.close()
    return tuple(sorted({label.author for label in labels if label and label.author}))
