"""The one composition for whole folders: images to masks to measurements to tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cardiolabel.domain import Record
from cardiolabel.errors import DatasetError, InputError
from cardiolabel.inference.models import Models
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io import nifti
from cardiolabel.io.files import atomic
from cardiolabel.measurements.records import FrameRow, Study
from cardiolabel.predicted import MODEL_NAME, model_json
from cardiolabel.reporting.tables import write_tables
from cardiolabel.studies import LABEL_TAGS, Studies

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Summary:
    """What a run over a folder did; ``problems`` pairs an image id with why it has no mask."""

    images: int
    patients: int
    skipped: int
    problems: tuple[tuple[str, str], ...]


def infer_folder(
    folder: Path, predictor: Predictor, *, out: Path, resume: bool, on_progress: Progress
) -> Summary:
    """Predict every image of a studies folder, then measure every patient from those masks.

    Writes ``labels/<image_id>.nii.gz``, ``frames.csv``, ``patients.csv`` and ``model.json``, the model and
    its labels, in ``out``. An image that cannot be read, or is of a view that the model is not for, costs
    its own row, with the reason.

    Parameters
    ----------
    folder : Path
        The studies folder.
    predictor : Predictor
    out : Path
        Created where missing.
    resume : bool
        Keep masks that ``out`` already has, which must be of this model.
    on_progress : callable
        Called with images done and images in all.

    Raises
    ------
    DatasetError, ManifestError
        The folder holds no images, its manifest is malformed, or ``out`` has masks of another model.
    OSError
        ``out`` cannot be written.
    """
    studies = Studies(folder, models=Models.of(predictor), label_folders={"predicted": out / "labels"})
    records = _images(studies)
    _note_model(predictor, out, resume=resume)
    problems: list[tuple[str, str]] = []
    skipped = 0
    for done, record in enumerate(records, start=1):
        target = out / "labels" / f"{record.image_id}.nii.gz"
        if resume and target.is_file():
            skipped += 1
        else:
            target.unlink(missing_ok=True)
            try:
                predicted = studies.predict(record.image_id)
                nifti.write_mask_like(predicted.masks, target, grid=predicted.grid)
            except InputError as error:
                problems.append((record.image_id, str(error)))
        on_progress(done, len(records))
    _refuse_nothing(len(records) - len(problems), folder, problems)
    measured = [studies.measure(patient, predict=False).study for patient in studies.patients()]
    write_tables(measured, out)
    return Summary(len(records), len(measured), skipped, tuple(problems))


def _note_model(predictor: Predictor, out: Path, *, resume: bool) -> None:
    path = out / MODEL_NAME
    said = json.dumps({**model_json(predictor.card), "labels": predictor.labels.as_dict()}, indent=1) + "\n"
    if resume and path.is_file() and path.read_text(encoding="utf-8") != said:
        raise DatasetError(f"{out}: begun with another model, see {path.name}; give another --out")
    out.mkdir(parents=True, exist_ok=True)
    with atomic(path) as draft:
        draft.write_text(said, encoding="utf-8")


def measure_folder(folder: Path, labels: str, *, out: Path, on_progress: Progress) -> Summary:
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

    Raises
    ------
    DatasetError, ManifestError
        As `infer_folder`; also where there is no such labels folder.
    """
    source = folder / "labels" / labels if labels in LABEL_TAGS else Path(labels)
    if not source.is_dir():
        raise DatasetError(f"{source}: no such folder of masks; expected final, original or a folder's path")
    studies = Studies(folder, label_folders={labels: source})
    records = _images(studies)
    patients = studies.patients()
    measured, with_mask = [], 0
    for done, patient in enumerate(patients, start=1):
        found = studies.measure(patient, predict=False)
        measured.append(found.study)
        with_mask += sum(source != "none" for source in found.sources.values())
        on_progress(done, len(patients))
    without = tuple(
        (frames[0].image_id, frames[0].reason)
        for study in measured
        for frames in _by_image(study)
        if all(row.geometry is None and row.lv_area_mm2 is None for row in frames)
    )
    _refuse_nothing(with_mask, source, without)
    write_tables(measured, out)
    return Summary(len(records), len(patients), 0, without)


def _by_image(study: Study) -> list[list[FrameRow]]:
    grouped: dict[str, list[FrameRow]] = {}
    for row in study.frames:
        grouped.setdefault(row.image_id, []).append(row)
    return list(grouped.values())


def _refuse_nothing(usable: int, folder: Path, problems: Sequence[tuple[str, str]]) -> None:
    if usable == 0:
        image_id, reason = problems[0]
        raise DatasetError(f"{folder}: no image has a mask; the first, {image_id}: {reason}")


def _images(studies: Studies) -> list[Record]:
    records = studies.records()
    if not records:
        raise DatasetError(f"{studies.folder}: no images; expected <image_id>.nii.gz files in it")
    return records
