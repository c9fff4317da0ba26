"""State of a patient's images, masks and models, in one token."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cardiolabel.domain import Record
from cardiolabel.system.file_cache import FileState


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


def _content(state: FileState | None) -> tuple[int, int] | None:
    """Return a file's state without its path."""
    return state and state[1:]
