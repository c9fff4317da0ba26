"""State of a patient's images, masks and models, and the EF intervals that follow from it."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cardiolabel.domain import Record
from cardiolabel.measurements.records import Study
from cardiolabel.system.file_cache import FileState
from cardiolabel.uncertainty.calibration import Calibration
from cardiolabel.uncertainty.ef_distribution import MethodKey
from cardiolabel.uncertainty.ef_intervals import NO_SPREADS, with_intervals


@dataclass(frozen=True)
class SeenImage:
    """State of an image: its file, its stored masks' files, and the model that predicts missing masks."""

    record: Record
    file: FileState | None
    labels: tuple[FileState | None, ...]
    filled_by: Hashable


def patient_state(images: Sequence[SeenImage]) -> str:
    """Return a token that changes whenever a patient's images, labels or models do, but not with the folder's
    place.
    """
    seen = [
        (
            replace(image.record, path=Path(image.record.path.name)),
            _content(image.file),
            [_content(label) for label in image.labels],
            image.filled_by,
        )
        for image in images
    ]
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:32]


def with_model_intervals(
    study: Study,
    predicted: Mapping[str, Sequence[str]],
    calibrations: Mapping[str, Mapping[str, Mapping[str, Any]]],
    *,
    spreads_pct: Mapping[MethodKey, float] = NO_SPREADS,
) -> Study:
    """Add intervals to the EFs that predictions went into.

    Parameters
    ----------
    study : Study
    predicted : mapping of str to sequence of str
        By model, the images whose masks it gave.
    calibrations : mapping
        By model, ``intervals`` of its card; a model without any gives none.
    spreads_pct : mapping
        As `with_intervals`.
    """
    for model, images in predicted.items():
        if intervals := calibrations.get(model):
            study = with_intervals(
                study, Calibration.from_card(intervals), predicted=images, spreads_pct=spreads_pct
            )
    return study


def _content(state: FileState | None) -> tuple[int, int] | None:
    """Return a file's state without its path."""
    return state and state[1:]
