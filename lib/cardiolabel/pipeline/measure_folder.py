"""Measurement of a studies folder from masks that exist."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cardiolabel.domain import View
from cardiolabel.errors import DatasetError
from cardiolabel.measurements.records import FrameRow, Study
from cardiolabel.pipeline.folder_run import Progress, Summary, images_of, refuse_no_mask
from cardiolabel.pipeline.folder_summary import SUMMARY_NAME
from cardiolabel.records.layout import TAGS, StudiesLayout
from cardiolabel.reporting.tables import tables_of
from cardiolabel.studies.studies import Studies


def measure_folder(
    folder: Path,
    labels: str,
    *,
    out: Path,
    on_progress: Progress,
    views: Mapping[str, View] | None = None,
) -> Summary:
    """Measure every patient of a studies folder from masks that exist; writes both tables.

    Parameters
    ----------
    folder : Path
        The studies folder.
    labels : str
        ``final``, ``original`` or a folder of ``<image_id>.nii.gz``.
    out : Path
        Created where missing.
    on_progress : callable
        Called with patients done and patients in all.
    views : mapping of str to View, optional
        As for `cardiolabel.records.studies_folder.StudiesFolder`.

    Raises
    ------
    DatasetError, ManifestError
        As `infer_folder`; also where there is no such labels folder.
    """
    source = StudiesLayout(folder).tagged(labels) if labels in TAGS else Path(labels)
    if not source.is_dir():
        raise DatasetError(f"{source}: no such folder of masks; expected final, original or a folder's path")
    studies = Studies(folder, label_folders={labels: source}, views=views)
    records = images_of(studies)
    patients = studies.patients()
    without: list[tuple[str, str]] = []
    with_mask = 0
    (out / SUMMARY_NAME).unlink(missing_ok=True)
    with tables_of(out) as write:
        for done, patient in enumerate(patients, start=1):
            measured = studies.measure(patient, predict=False)
            write(measured.study)
            with_mask += sum(source != "none" for source in measured.sources.values())
            without += _unmeasured(measured.study)
            on_progress(done, len(patients))
        refuse_no_mask(with_mask, source, without)
    return Summary(len(records), len(patients), 0, tuple(without))


def _unmeasured(study: Study) -> list[tuple[str, str]]:
    """Return the images without any measured frame, with the reason."""
    return [
        (frames[0].image_id, frames[0].reason)
        for frames in _by_image(study)
        if all(row.geometry is None and row.lv_area_mm2 is None for row in frames)
    ]


def _by_image(study: Study) -> list[list[FrameRow]]:
    grouped: dict[str, list[FrameRow]] = {}
    for row in study.frames:
        grouped.setdefault(row.image_id, []).append(row)
    return list(grouped.values())
