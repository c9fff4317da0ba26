"""The one composition for whole folders: images to masks to measurements to tables."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Record
from cardiolabel.errors import DatasetError, ImageContentError, InputError
from cardiolabel.folder_summary import SUMMARY_NAME, FolderPage
from cardiolabel.inference.batch import predict_all
from cardiolabel.inference.models import check_view
from cardiolabel.inference.ordered import ordered
from cardiolabel.inference.predictor import Predictor, Prepared
from cardiolabel.io import nifti
from cardiolabel.io.files import remove_partial
from cardiolabel.measurements.records import FrameRow, MaskedImage, Study
from cardiolabel.measurements.study import measure_study
from cardiolabel.overlays import Overlays, overlay_file
from cardiolabel.predicted import MODEL_NAME, masked_image, model_note, without_masks, write_model_note
from cardiolabel.reporting.overlay import OVERLAYS
from cardiolabel.reporting.tables import table_files, tables_of
from cardiolabel.studies import LABEL_TAGS, Studies

logger = logging.getLogger(__name__)

_PATIENTS_AHEAD = 4

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Summary:
    """What a run over a folder did; ``problems`` pairs an image id with why it has no mask."""

    images: int
    patients: int
    skipped: int
    problems: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Options:
    """What a run does beside predicting and measuring, as `infer_folder` was told."""

    out: Path
    resume: bool
    overlays: bool = False


@dataclass(frozen=True, eq=False)
class Done:
    """A patient that a run is through with: images, kept masks and problems as `Summary` counts them."""

    study: Study
    images: int
    kept: int
    problems: tuple[tuple[str, str], ...]


class Workers(Protocol):
    """Who predicts and measures patients: this process (`infer_patients`), or others."""

    def __call__(
        self,
        patients: Iterable[Sequence[Record]],
        predictor: Predictor,
        options: Options,
        *,
        on_image: Callable[[int], None],
    ) -> Generator[Done]:
        """As `infer_patients`."""


def infer_patients(
    patients: Iterable[Sequence[Record]],
    predictor: Predictor,
    options: Options,
    *,
    on_image: Callable[[int], None] = lambda _: None,
) -> Generator[Done]:
    """Predict, write and measure patients, each given by its records, in their order.

    Parameters
    ----------
    patients : iterable of sequence of Record
        Taken as they are needed.
    predictor : Predictor
    options : Options
    on_image : callable
        Called with the number of images done.

    Yields
    ------
    Done
        Closing the generator ends its threads.

    Raises
    ------
    OSError
        A mask cannot be written.
    """
    run = _Run(predictor, options)
    with (
        closing(run.images(patients, on_image)) as images,
        ThreadPoolExecutor(1, thread_name_prefix="measure") as pool,
    ):
        by_patient = (list(own) for _, own in groupby(images, _patient))
        yield from ordered(pool, run.measured, by_patient, ahead=_PATIENTS_AHEAD)


def infer_folder(
    folder: Path,
    predictor: Predictor,
    *,
    out: Path,
    resume: bool,
    on_progress: Progress,
    overlays: bool = False,
    html: bool = False,
    workers: Workers = infer_patients,
) -> Summary:
    """Predict every image of a studies folder and measure every patient from those masks.

    Writes ``labels/<image_id>.nii.gz``, the tables of `tables_of` and ``model.json``, the model and its
    labels, in ``out``. An image that cannot be read, or is of a view that the model is not for, costs
    its own row, with the reason. Memory does not grow with the number of images.

    Parameters
    ----------
    folder : Path
        The studies folder.
    predictor : Predictor
    out : Path
        Created where missing.
    resume : bool
        Keep masks that ``out`` already has, which must be of this model; those that cannot be read are
        made anew.
    on_progress : callable
        Called with images done and images in all.
    overlays : bool
        Also draw ``overlays/<image_id>.png``, each image with its masks.
    html : bool
        Also write ``summary.html``, which shows those pictures if they are drawn too.
    workers : Workers
        Who does it; by default this process.

    Raises
    ------
    DatasetError, ManifestError
        The folder holds no images, its manifest is malformed, or ``out`` has masks of another model.
    OSError
        ``out`` cannot be written.
    """
    studies = Studies(folder)
    records = _images(studies)
    total = len(records)
    _refuse_other_views(folder, predictor, records)
    _note_model(predictor, out, records, resume=resume)
    page = FolderPage(studies, out, overlays=overlays) if html else None
    run = workers(
        studies.by_patient().values(), predictor, Options(out, resume, overlays),
        on_image=lambda done: on_progress(done, total),
    )  # fmt: skip
    problems: list[tuple[str, str]] = []
    patients = kept = 0
    with closing(run) as all_done, tables_of(out) as write:
        for done in all_done:
            write(done.study)
            patients += 1
            kept += done.kept
            problems += done.problems
            if page:
                page.add(done.study)
        _refuse_nothing(total - len(problems), folder, problems)
    if page:
        page.write(predictor.used, images=total, problems=problems)
    return Summary(total, patients, kept, tuple(problems))


@dataclass(eq=False)
class _Item:
    """An image on its way; ``kept`` are masks that an earlier run made."""

    record: Record
    grid: nifti.Grid | None = None
    kept: NDArray[np.uint8] | None = None
    problem: str = ""


class _Run:
    """One run of `infer_patients`: what happens to each image."""

    def __init__(self, predictor: Predictor, options: Options) -> None:
        self._predictor, self._out, self._resume = predictor, options.out, options.resume
        self._pictures = Overlays(options.out, draw=options.overlays)

    def images(
        self, patients: Iterable[Sequence[Record]], on_image: Callable[[int], None]
    ) -> Generator[tuple[_Item, MaskedImage]]:
        """Every image with its masks, or why it has none, a patient's together."""
        items = (_Item(record) for records in patients for record in records)
        with closing(predict_all(self._predictor, items, read=self._read, finish=self._finish)) as ready:
            for done, image in enumerate(ready, start=1):
                on_image(done)
                yield image

    def _read(self, item: _Item) -> Prepared | None:
        target = self._target(item)
        try:
            check_view(self._predictor.card.name, self._predictor.recipe.views, item.record)
            image = nifti.read(item.record.path)
            item.grid = image.grid
            if self._resume and target.is_file():
                item.kept = self._kept_masks(target, image.grid)
            return None if item.kept is not None else self._predictor.prepare(image.clip)
        except InputError as error:
            item.problem = str(error)
            return None
        finally:
            if item.kept is None:
                for old in (target, overlay_file(self._out, item.record.image_id)):
                    old.unlink(missing_ok=True)

    def _kept_masks(self, target: Path, grid: nifti.Grid) -> NDArray[np.uint8] | None:
        try:
            masks = nifti.read_mask(target)
            self._predictor.labels.check(masks, target.name)
            if masks.shape == grid.frames_shape:
                return masks
            raise ImageContentError(f"{target.name}: mask {masks.shape}, image {grid.frames_shape}")
        except InputError as error:
            logger.warning("a mask of an earlier run cannot be used and is made anew")
            logger.debug("%s", error)
            return None

    def _finish(self, item: _Item, masks: NDArray[np.uint8] | None) -> tuple[_Item, MaskedImage]:
        labels = self._predictor.labels
        found = item.kept if masks is None else masks
        if found is None or item.grid is None:
            return item, without_masks(item.record, labels, item.problem)
        if masks is not None:
            nifti.write_mask_like(masks, self._target(item), grid=item.grid)
        return item, masked_image(item.record, found, item.grid, labels)

    def _target(self, item: _Item) -> Path:
        return self._out / "labels" / f"{item.record.image_id}.nii.gz"

    def measured(self, images: Sequence[tuple[_Item, MaskedImage]]) -> Done:
        """One patient, by all its images."""
        masked = [image for _, image in images]
        study = measure_study(masked)
        self._pictures.write(study, [(image, item.record.path) for item, image in images])
        kept = sum(item.kept is not None for item, _ in images)
        problems = tuple((image.image_id, image.problem) for image in masked if image.problem)
        return Done(study, len(masked), kept, problems)


def _patient(image: tuple[_Item, MaskedImage]) -> str:
    return image[1].patient


def _refuse_other_views(folder: Path, predictor: Predictor, records: Sequence[Record]) -> None:
    """Raise where no image is of a view that the model is for; nothing was written then."""
    try:
        if not any(record.view in predictor.recipe.views for record in records):
            check_view(predictor.card.name, predictor.recipe.views, records[0])
    except ImageContentError as error:
        raise DatasetError(f"{folder}: no image can have a mask: {error}") from None


def _note_model(predictor: Predictor, out: Path, records: Sequence[Record], *, resume: bool) -> None:
    """Say in ``out`` whose masks it holds, and remove those of others, with what shows them."""
    path = out / MODEL_NAME
    known = path.is_file() and path.read_text(encoding="utf-8") == model_note(predictor)
    masks = [out / "labels" / f"{record.image_id}.nii.gz" for record in records]
    if resume and not known and (path.is_file() or any(mask.exists() for mask in masks)):
        raise DatasetError(f"{out}: begun with another model or engine, see {path.name}; give another --out")
    if not (resume and known):
        pictures = (overlay_file(out, record.image_id) for record in records)
        for old in (*masks, *pictures, *table_files(out)):
            old.unlink(missing_ok=True)
    (out / SUMMARY_NAME).unlink(missing_ok=True)
    for folder in (out, out / "labels", out / OVERLAYS):
        remove_partial(folder)
    write_model_note(predictor, out)


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
    without: list[tuple[str, str]] = []
    with_mask = 0
    (out / SUMMARY_NAME).unlink(missing_ok=True)
    with tables_of(out) as write:
        for done, patient in enumerate(patients, start=1):
            found = studies.measure(patient, predict=False)
            write(found.study)
            with_mask += sum(source != "none" for source in found.sources.values())
            without += _unmeasured(found.study)
            on_progress(done, len(patients))
        _refuse_nothing(with_mask, source, without)
    return Summary(len(records), len(patients), 0, tuple(without))


def _unmeasured(study: Study) -> list[tuple[str, str]]:
    """Images none of whose frames has a geometry, and why."""
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


def _refuse_nothing(usable: int, folder: Path, problems: Sequence[tuple[str, str]]) -> None:
    if usable == 0:
        image_id, reason = problems[0]
        raise DatasetError(f"{folder}: no image has a mask; the first, {image_id}: {reason}")


def _images(studies: Studies) -> list[Record]:
    records = studies.records()
    if not records:
        raise DatasetError(f"{studies.folder}: no images; expected <image_id>.nii.gz files in it")
    return records
