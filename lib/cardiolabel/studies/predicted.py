"""Predictions of single images, and their join with records for measuring."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Clip, LabelSet, Record, Spacing, View
from cardiolabel.errors import InputError
from cardiolabel.inference.batch import predict_all
from cardiolabel.inference.image_cost import image_cost
from cardiolabel.inference.predictor import Predictor, Prepared, UsedModel
from cardiolabel.io.files import atomic
from cardiolabel.io.grid import Grid
from cardiolabel.io.image_file import ImageFile
from cardiolabel.io.images import read_image
from cardiolabel.measurements.records import MaskedImage
from cardiolabel.measurements.study import measure_study
from cardiolabel.models.models import check_view
from cardiolabel.records import file_names
from cardiolabel.records.studies_folder import state_of
from cardiolabel.reporting.result import study_json
from cardiolabel.system.file_cache import BoundedCache, FileState
from cardiolabel.system.memory_budget import budget


@dataclass(frozen=True, eq=False)
class Predicted:
    """An image, its predicted masks ``(T, H, W)``, and the model.

    ``state`` is that of the image's file when it was predicted, None where there was no file.
    """

    record: Record
    state: FileState | None
    clip: Clip
    grid: Grid
    masks: NDArray[np.uint8]
    labels: LabelSet
    model: UsedModel


class Predictions:
    """Cache of predicted masks, valid while image and model stay the same.

    Parameters
    ----------
    limit_bytes : int
        Those used last stay within it.
    read : callable
        Gives a record's image.
    """

    def __init__(self, limit_bytes: int, *, read: Callable[[Record], ImageFile]) -> None:
        self._read = read
        self._kept: BoundedCache[Predicted] = BoundedCache(
            limit_bytes, size_of=lambda prediction: prediction.clip.pixels.nbytes + prediction.masks.nbytes
        )

    def clear(self) -> None:
        """Forget all predictions."""
        self._kept.clear()

    def get(self, record: Record, predictor: Predictor) -> Predicted:
        """Return a model's masks for a record's image; errors as `predict_file`."""
        state = state_of(record.path)

        def predicted() -> Predicted:
            check_view(predictor.card.name, predictor.recipe.views, record)
            image = self._read(record)
            return _joined(record, state, image, predictor.predict(image.clip), predictor)

        prediction = self._kept.get((state, predictor.used), predicted)
        return replace(prediction, record=record)  # the manifest may have changed since

    def fill(self, records: Iterable[Record], predictor: Predictor) -> None:
        """Predict images in one batch, so that `get` returns at once.

        Images that `get` would refuse are skipped; `get` raises the error.
        """
        missing = [(record, state_of(record.path)) for record in records if not self.has(record, predictor)]
        images: dict[str, ImageFile] = {}

        def read(item: tuple[Record, FileState | None]) -> Prepared | None:
            record, _ = item
            try:
                check_view(predictor.card.name, predictor.recipe.views, record)
                image = self._read(record)
                prepared = predictor.prepare(image.clip)
            except (InputError, OSError):
                return None
            images[record.image_id] = image
            return prepared

        def keep(item: tuple[Record, FileState | None], masks: NDArray[np.uint8] | None) -> None:
            record, state = item
            if masks is not None:
                prediction = _joined(record, state, images.pop(record.image_id), masks, predictor)
                self._kept.get((state, predictor.used), lambda: prediction)

        for _ in predict_all(predictor, missing, read=read, finish=keep):
            pass

    def has(self, record: Record, predictor: Predictor) -> bool:
        """Return whether `get` would return a cached prediction."""
        return _key(record, predictor) in self._kept


def _key(record: Record, predictor: Predictor) -> Hashable:
    return state_of(record.path), predictor.used


def predict_file(path: Path, predictor: Predictor) -> Predicted:
    """Predict one NIfTI file that belongs to no studies folder.

    Its name tells patient, view and phase; without a view, a model of a single view takes the image to be of
    that view.

    Raises
    ------
    ImageReadError, ImageContentError
        The file is not a usable image, or not of a view that the model is for, or holds anything besides.
    TooLargeError, OverloadedError
        It takes more memory than the limit, or than is left now.
    """
    record = _by_name(path, predictor)
    check_view(predictor.card.name, predictor.recipe.views, record)
    with budget.reserved(path.name, image_cost(path).passing):
        state, image = state_of(path), read_image(path, alone=True)
        return _joined(record, state, image, predictor.predict(image.clip), predictor)


def _joined(
    record: Record,
    state: FileState | None,
    image: ImageFile,
    masks: NDArray[np.uint8],
    predictor: Predictor,
) -> Predicted:
    return Predicted(record, state, image.clip, image.grid, masks, predictor.labels, predictor.used)


def file_result_json(predicted: Predicted) -> dict[str, Any]:
    """Return the result of an image that belongs to no studies folder."""
    image = masked_image(predicted.record, predicted.masks, predicted.grid, predicted.labels)
    sources = {predicted.record.image_id: "model"}
    return study_json(measure_study([image]), sources=sources, model=predicted.model.as_dict())


MODEL_NAME = "model.json"
"""File beside predicted masks that names the model and its labels."""


def model_note(predictor: Predictor) -> str:
    """Return the content of `MODEL_NAME`."""
    fields = {**predictor.used.as_dict(), "labels": predictor.labels.as_dict()}
    return json.dumps(fields, indent=1) + "\n"


def write_model_note(predictor: Predictor, folder: Path) -> None:
    """Write `MODEL_NAME`; raises OSError if it cannot."""
    with atomic(folder / MODEL_NAME) as draft:
        draft.write_text(model_note(predictor), encoding="utf-8")


def masked_image(record: Record, masks: NDArray[np.uint8], grid: Grid, labels: LabelSet) -> MaskedImage:
    """Join a record, its masks ``(T, H, W)`` and its file's geometry for measuring.

    A stack with contradicting distances between slices gets no masks, and the reason.
    """
    if record.is_stack and grid.step_problem:
        return without_masks(record, labels, grid.step_problem)
    return MaskedImage(
        record.image_id,
        record.patient,
        record.view,
        record.phase,
        masks,
        grid.spacing or _manifest_spacing(record),
        labels,
        ed_frame=record.ed_frame,
        es_frame=record.es_frame,
        frame_rate_hz=record.frame_rate_hz,
        slice_spacing_mm=grid.slice_spacing_mm if record.is_stack else None,
        affine_mm=grid.affine_mm if grid.spacing else None,
    )


def _manifest_spacing(record: Record) -> Spacing | None:
    """Return the pixel size that the manifest gives for a file without one."""
    return Spacing(record.mm_per_pixel, record.mm_per_pixel) if record.mm_per_pixel else None


def without_masks(record: Record, labels: LabelSet, problem: str) -> MaskedImage:
    """Return an image without masks, with the reason."""
    nothing = np.zeros((0, 0, 0), dtype=np.uint8)
    return MaskedImage(
        record.image_id, record.patient, record.view, record.phase, nothing, None, labels, problem=problem
    )


def _by_name(path: Path, predictor: Predictor) -> Record:
    record = file_names.record_from_name(path)
    if record.view is View.UNKNOWN and len(predictor.recipe.views) == 1:
        return replace(record, view=next(iter(predictor.recipe.views)))
    return record
