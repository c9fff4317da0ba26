"""One image by itself: predicted, and joined with its record for measuring."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiolabel.datasets import file_names
from cardiolabel.domain import Clip, LabelSet, Record, View
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io import nifti
from cardiolabel.measurements.records import MaskedImage
from cardiolabel.measurements.study import measure_study
from cardiolabel.reporting.result import study_json


@dataclass(frozen=True, eq=False)
class Predicted:
    """An image and the masks ``(T, H, W)`` that a model gave it."""

    record: Record
    clip: Clip
    grid: nifti.Grid
    masks: NDArray[np.uint8]
    labels: LabelSet


def predict_file(path: Path, predictor: Predictor, *, record: Record | None = None) -> Predicted:
    """Predict one NIfTI file; without a record, what its name tells is used.

    Raises
    ------
    ImageReadError, ImageContentError
        The file is not a usable echo image.
    """
    image = nifti.read(path)
    record = record or file_names.record_from_name(path)
    return Predicted(record, image.clip, image.grid, predictor.predict(image.clip), predictor.labels)


def file_result_json(predicted: Predicted, predictor: Predictor) -> dict[str, Any]:
    """The result of an image that belongs to no studies folder: its own frames only."""
    image = masked_image(predicted.record, predicted.masks, predicted.grid, predictor.labels)
    sources = {predicted.record.image_id: "model"}
    return study_json(measure_study([image]), sources=sources, model=model_json(predictor))


def model_json(predictor: Predictor) -> dict[str, str]:
    """Name, version and sha256 of a model, as every result carries them."""
    card = predictor.card
    return {"name": card.name, "version": card.version, "sha256": card.sha256}


def masked_image(record: Record, masks: NDArray[np.uint8], grid: nifti.Grid, labels: LabelSet) -> MaskedImage:
    """Join a record, its masks ``(T, H, W)`` and its file's geometry for measuring."""
    return MaskedImage(
        record.image_id, record.patient, record.view, record.phase, masks, grid.spacing, labels,
        ed_frame=record.ed_frame, es_frame=record.es_frame, frame_rate_hz=record.frame_rate_hz,
        slice_spacing_mm=grid.slice_spacing_mm if record.view is View.SAX else None,
    )  # fmt: skip


def without_masks(record: Record, labels: LabelSet, problem: str) -> MaskedImage:
    """An image that has no masks, and the reason why."""
    nothing = np.zeros((0, 0, 0), dtype=np.uint8)
    return MaskedImage(
        record.image_id, record.patient, record.view, record.phase, nothing, None, labels,
        problem=problem,
    )  # fmt: skip
