"""Common parts of predicting and measuring a folder: its images, and the summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cardiolabel.domain import Record
from cardiolabel.errors import DatasetError
from cardiolabel.studies.studies import Studies

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Summary:
    """Result of a run over a folder; ``problems`` pairs an image id with the reason why it has no mask."""

    images: int
    patients: int
    skipped: int
    problems: tuple[tuple[str, str], ...]


def images_of(studies: Studies) -> list[Record]:
    """Return a folder's records; raises DatasetError if it has none."""
    records = studies.records()
    if not records:
        raise DatasetError(f"{studies.folder}: no images; expected <image_id>.nii.gz files in it")
    return records


def refuse_no_mask(usable: int, folder: Path, problems: Sequence[tuple[str, str]]) -> None:
    """Raise DatasetError if no image had a usable mask."""
    if usable == 0:
        image_id, reason = problems[0]
        raise DatasetError(f"{folder}: no image has a mask; the first, {image_id}: {reason}")
