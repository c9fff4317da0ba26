"""What a data set offers: its images, the sources of pixels and masks, and what is damaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Clip, Record, Stack

Shape = tuple[int, int, int]
"""(T, H, W) of a clip, (Z, H, W) of a stack."""


@dataclass(frozen=True)
class Entry:
    """One image of a data set.

    Parameters
    ----------
    record : Record
        Its ``path`` is the file or the folder that the image comes from.
    image : Path or callable
        A NIfTI or MetaImage file, or what decodes the image from anything else.
    masks : Path or callable, optional
        The reference masks: such a file, or what makes them as uint8 of the image's shape.
    files : tuple of Path
        All files that the image comes from, where they are more than the record's ``path``.
    slices : tuple of (Path, int or None)
        File of each slice of a DICOM stack, and its frame (from 0) where a file holds several.

    Notes
    -----
    The callables raise `cardiolabel.errors.InputError` where a file is missing or broken.
    """

    record: Record
    image: Path | Callable[[], Clip | Stack]
    masks: Path | Callable[[Shape], NDArray[np.uint8]] | None = None
    files: tuple[Path, ...] = ()
    slices: tuple[tuple[Path, int | None], ...] = ()


@dataclass(frozen=True)
class Listing:
    """Images of a data set, unusable patients or files with the reason, and what to know of patients."""

    entries: tuple[Entry, ...]
    problems: tuple[tuple[str, str], ...] = ()
    notes: tuple[tuple[str, str], ...] = ()

    @property
    def records(self) -> list[Record]:
        """Records of the images."""
        return [entry.record for entry in self.entries]
