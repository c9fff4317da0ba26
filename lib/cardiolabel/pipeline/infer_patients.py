"""Prediction, writing and measurement of patients in this process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Record
from cardiolabel.errors import InputError
from cardiolabel.inference.batch import predict_all
from cardiolabel.inference.ordered import ordered
from cardiolabel.inference.predictor import Predictor, Prepared
from cardiolabel.io import nifti
from cardiolabel.io.grid import Grid
from cardiolabel.io.images import read_image
from cardiolabel.io.mask_files import read_mask_on
from cardiolabel.measurements.records import MaskedImage
from cardiolabel.measurements.study import measure_study
from cardiolabel.models.models import check_view
from cardiolabel.pipeline.overlays import Overlays, overlay_file
from cardiolabel.pipeline.workers import Done, Options
from cardiolabel.records.layout import StudiesLayout, file_of
from cardiolabel.studies.predicted import masked_image, without_masks
from cardiolabel.uncertainty.ef_intervals import with_intervals

logger = logging.getLogger(__name__)

_PATIENTS_AHEAD = 4


def infer_patients(
    patients: Iterable[Sequence[Record]],
    predictor: Predictor,
    options: Options,
    *,
    on_image: Callable[[int], None] = lambda _: None,
) -> Generator[Done]:
    """Predict, write and measure patients, each given by its records, in order.

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


@dataclass(eq=False)
class _Item:
    """An image in the pipeline; ``earlier_masks`` are those of an earlier run."""

    record: Record
    grid: Grid | None = None
    earlier_masks: NDArray[np.uint8] | None = None
    problem: str = ""


class _Run:
    """One call of `infer_patients`."""

    def __init__(self, predictor: Predictor, options: Options) -> None:
        self._predictor, self._out, self._resume = predictor, options.out, options.resume
        self._pictures = Overlays(options.out, draw=options.overlays)

    def images(
        self, patients: Iterable[Sequence[Record]], on_image: Callable[[int], None]
    ) -> Generator[tuple[_Item, MaskedImage]]:
        """Yield every image with its masks, or the reason why it has none, a patient's together."""
        items = (_Item(record) for records in patients for record in records)
        with closing(predict_all(self._predictor, items, read=self._read, finish=self._finish)) as ready:
            for done, image in enumerate(ready, start=1):
                on_image(done)
                yield image

    def _read(self, item: _Item) -> Prepared | None:
        target = self._target(item)
        try:
            check_view(self._predictor.card.name, self._predictor.recipe.views, item.record)
            image = read_image(item.record.path)
            item.grid = image.grid
            if self._resume and target.is_file():
                item.earlier_masks = self._earlier_masks(item.record, target, image.grid)
            return None if item.earlier_masks is not None else self._predictor.prepare(image.clip)
        except InputError as error:
            item.problem = str(error)
            return None
        finally:
            if item.earlier_masks is None:
                for old in (target, overlay_file(self._out, item.record.image_id)):
                    old.unlink(missing_ok=True)

    def _earlier_masks(self, record: Record, target: Path, grid: Grid) -> NDArray[np.uint8] | None:
        try:
            return read_mask_on(target, grid, self._predictor.labels, stack=record.is_stack)
        except InputError as error:
            logger.warning("a mask of an earlier run cannot be used and is made anew")
            logger.debug("%s", error)
            return None

    def _finish(self, item: _Item, masks: NDArray[np.uint8] | None) -> tuple[_Item, MaskedImage]:
        labels = self._predictor.labels
        result_masks = item.earlier_masks if masks is None else masks
        if result_masks is None or item.grid is None:
            return item, without_masks(item.record, labels, item.problem)
        if masks is not None:
            nifti.write_mask_like(masks, self._target(item), grid=item.grid)
        return item, masked_image(item.record, result_masks, item.grid, labels)

    def _target(self, item: _Item) -> Path:
        return file_of(StudiesLayout(self._out).labels, item.record.image_id)

    def measured(self, images: Sequence[tuple[_Item, MaskedImage]]) -> Done:
        """Measure one patient from all its images."""
        masked = [image for _, image in images]
        study = with_intervals(
            measure_study(masked),
            self._predictor.card.intervals,
            predicted=[image.image_id for image in masked],
        )
        self._pictures.write(study, [(image, item.record.path) for item, image in images])
        resumed = sum(item.earlier_masks is not None for item, _ in images)
        problems = tuple((image.image_id, image.problem) for image in masked if image.problem)
        return Done(study, len(masked), resumed, problems)


def _patient(image: tuple[_Item, MaskedImage]) -> str:
    return image[1].patient
