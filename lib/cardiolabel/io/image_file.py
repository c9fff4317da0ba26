"""Content of an image file in any format."""

from __future__ import annotations

from dataclasses import dataclass

from cardiolabel.domain import Clip
from cardiolabel.io.grid import Grid

__all__ = ["ImageFile", "ImageHeader"]


@dataclass(frozen=True, eq=False)
class ImageFile:
    """Pixels of an image file and the place of its voxels.

    Parameters
    ----------
    clip : Clip
        Pixels ``(T, H, W)`` with the pixel size in mm and the frame rate, where the file states them.
    grid : Grid
        Geometry of the file's array, with which masks of the image are written.
    note : str
        What a user should know of it, for instance why its pixel size is unknown.
    """

    clip: Clip
    grid: Grid
    note: str = ""


@dataclass(frozen=True)
class ImageHeader:
    """Size of an image as its header states it, before any pixel is read.

    Parameters
    ----------
    grid : Grid
        Geometry of the file's array.
    bytes_each : int
        Bytes of one pixel in memory.
    reading_bytes : int
        Memory in bytes that reading the file takes at most.
    """

    grid: Grid
    bytes_each: int
    reading_bytes: int
