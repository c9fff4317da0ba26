"""A patient's results as DICOM objects: report, segmentations and figure, of new series of the study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmwrite

from cardiolabel.dicom_results.capture import capture
from cardiolabel.dicom_results.originals import Original
from cardiolabel.dicom_results.report import Reported, report
from cardiolabel.dicom_results.segmentation import segmentation
from cardiolabel.errors import MeasurementError
from cardiolabel.io.files import atomic
from cardiolabel.studies.patient_reports import PatientReports

__all__ = ["Results", "results", "write_results"]


@dataclass(frozen=True, eq=False)
class Results:
    """DICOM objects of a patient, and what could not be made: image ids with the reasons."""

    objects: tuple[Dataset, ...]
    notes: tuple[tuple[str, str], ...]


def results(
    reports: PatientReports,
    patient: str,
    originals: Mapping[str, Original],
    *,
    authors: tuple[str, ...] = (),
    predict: bool = True,
) -> Results:
    """Make the DICOM objects of a patient's results; the originals are never changed.

    Parameters
    ----------
    reports : PatientReports
    patient : str
    originals : mapping of str to Original
        The patient's DICOM images by image id.
    authors : tuple of str
        People who drew masks.
    predict : bool
        Let models fill in masks that no one has stored.

    Raises
    ------
    MeasurementError
        None of the patient's images has an original.
    UnknownPatientError
        No image of that patient.
    """
    studies = reports.studies
    records = studies.of_patient(patient)
    notes = [
        (record.image_id, "not among the DICOM originals; no contours in the report")
        for record in records
        if record.image_id not in originals
    ]
    own = {record.image_id: originals[record.image_id] for record in records if record.image_id in originals}
    if not own:
        raise MeasurementError(f"{patient}: none of its images is among the DICOM originals")
    measured = reports.measure(patient, predict=predict)
    images = {record.image_id: studies.best_masks(record)[0] for record in records}
    reported = Reported(measured.study, images, own, measured.models, authors)
    objects: list[Dataset] = [report(reported)]
    for image_id, original in own.items():
        try:
            objects.append(segmentation(images[image_id], original, measured.models.get(image_id)))
        except MeasurementError as error:
            notes.append((image_id, str(error)))
    objects.append(capture(reports.figure_png(patient), reported.evidence[0], reported.digest()))
    return Results(tuple(objects), tuple(notes))


def write_results(objects: Iterable[Dataset], folder: Path) -> list[Path]:
    """Write DICOM objects into a folder under their UIDs; one that is there already stays as it is.

    Raises
    ------
    OSError
        The folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for dataset in objects:
        path = folder / f"{dataset.SOPInstanceUID}.dcm"
        if not path.exists():
            with atomic(path) as draft:
                dcmwrite(draft, dataset, enforce_file_format=True)
        paths.append(path)
    return paths
