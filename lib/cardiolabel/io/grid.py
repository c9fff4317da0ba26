"""Geometry of a file's voxels, and the order of its axes.

A file's array has its own order of axes; in memory a clip is ``(T, H, W)`` and a stack ``(Z, H, W)``. Only a
`Grid` converts between both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Spacing

__all__ = ["Grid", "plane_axes"]

_THICK = 1.5
"""Ratio of slice distance to pixel size from which an axis other than the third is taken for the slices."""

_SIDEWAYS = 1e-3
"""Shift between slices, as a share of their distance, from which a stack counts as sheared."""

_ALIKE = 0.1
"""Share by which the pixel's sides may differ within such slices."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Geometry of a file: shape on disk, affine, and the meaning of its axes.

    Parameters
    ----------
    shape : tuple of int
        Of the array on disk.
    affine : ndarray, shape (4, 4)
        From indices of the array to patient coordinates (right, anterior, superior) in the file's unit.
        A column of zeros is a size that the file does not tell.
    unit_mm : float
        The file's unit in mm.
    step_problem : str
        Why the distance between slices is not known, where the file says something of it.
    otherwise : ndarray, shape (4, 4), optional
        Where some programs (those that use nibabel) take the file to lie, if not there.
    placed : bool
        Whether the file says where it lies; else the order of its voxels is all there is.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    unit_mm: float = 1.0
    step_problem: str = ""
    otherwise: NDArray[np.float64] | None = None
    placed: bool = True

    @cached_property
    def axes(self) -> tuple[int, int, int]:
        """Axes of the array on disk that run along columns, rows and frames (or slices)."""
        return plane_axes(self.shape, np.linalg.norm(self.affine[:3, :3], axis=0).tolist())

    @cached_property
    def affine_mm(self) -> NDArray[np.float64]:
        """From (column, row, frame) to patient coordinates in mm, shape (4, 4)."""
        return self._in_mm(self.affine)

    @property
    def places_mm(self) -> tuple[NDArray[np.float64], ...]:
        """`affine_mm`, and the other placements that some programs read from the file.

        Viewers are shown a stack without its shear, see `straight_mm`.
        """
        others = [] if self.otherwise is None else [self._in_mm(self.otherwise)]
        return self.affine_mm, *others, *([self.straight_mm] if self.is_sheared else [])

    @cached_property
    def is_sheared(self) -> bool:
        """Whether each slice is shifted sideways from the one before it."""
        step, straight = self.affine_mm[:3, 2], self.straight_mm[:3, 2]
        return bool(np.linalg.norm(step - straight) > _SIDEWAYS * np.linalg.norm(step))

    @cached_property
    def straight_mm(self) -> NDArray[np.float64]:
        """`affine_mm` with the third axis made perpendicular to the slices; the planes keep their
        distance.
        """
        straight = self.affine_mm.copy()
        normal = np.cross(straight[:3, 0], straight[:3, 1])
        area = float(np.linalg.norm(normal))
        if area > 0:
            straight[:3, 2] = normal * float(normal @ straight[:3, 2]) / area**2
        return straight

    def _in_mm(self, affine: NDArray[np.float64]) -> NDArray[np.float64]:
        steps = affine[:3, [*self.axes, 3]] * self.unit_mm
        return np.vstack([steps, [0.0, 0.0, 0.0, 1.0]])

    @cached_property
    def spacing(self) -> Spacing | None:
        """Pixel size; None if the file declares none."""
        col_mm, row_mm = (float(np.linalg.norm(self.affine_mm[:3, axis])) for axis in (0, 1))
        if not (np.isfinite([row_mm, col_mm]).all() and row_mm > 0 and col_mm > 0):
            return None
        return Spacing(row_mm=row_mm, col_mm=col_mm)

    @cached_property
    def slice_spacing_mm(self) -> float | None:
        """Perpendicular distance between neighbouring slices in mm; None if the file declares none.

        Times the area of a pixel it is the volume of a voxel, also in sheared stacks.
        """
        col, row, step = self.affine_mm[:3, :3].T
        normal = np.cross(col, row)
        area = float(np.linalg.norm(normal))
        if self.step_problem or not (np.isfinite(self.affine_mm).all() and area > 0):
            return None
        distance = abs(float(normal @ step)) / area
        return distance if distance > 1e-6 * float(np.linalg.norm(step)) else None

    @property
    def frames_shape(self) -> tuple[int, int, int]:
        """Shape ``(T, H, W)`` in memory."""
        cols, rows, _ = self.axes
        frames = math.prod(self.shape) // max(self.shape[cols] * self.shape[rows], 1)
        return frames, self.shape[rows], self.shape[cols]

    def to_frames(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the file's array as ``(T, H, W)``.

        Examples
        --------
        >>> grid = Grid((4, 3, 2), np.diag([1.0, 1.0, 8.0, 1.0]))
        >>> grid.to_frames(np.zeros((4, 3, 2))).shape
        (2, 3, 4)
        """
        cols, rows, frames = self.axes
        volume = array.reshape(self._volume_shape)
        return np.ascontiguousarray(volume.transpose(frames, rows, cols))

    def to_disk(self, frames: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the frames ``(T, H, W)`` as the file's array."""
        cols, rows, planes = self.axes
        order = np.argsort([planes, rows, cols])
        return frames.transpose(*order).reshape(self.shape)

    @property
    def _volume_shape(self) -> tuple[int, int, int]:
        if len(self.shape) == 3:
            return self.shape[0], self.shape[1], self.shape[2]
        return self.shape[0], self.shape[1], math.prod(self.shape[2:])


def plane_axes(shape: Sequence[int], sizes: Sequence[float]) -> tuple[int, int, int]:
    """Return the axes of an array that run along columns, rows, and frames or slices.

    The third axis counts frames, unless another is the only one of length 1, or counts few and thick slices
    of nearly square pixels, as in files saved with another order of axes.

    Parameters
    ----------
    shape : sequence of int
        Of the array on disk.
    sizes : sequence of float
        Voxel size along each of the first three axes, in any unit.

    Examples
    --------
    >>> plane_axes((240, 260, 20), (0.3, 0.3, 0.04))
    (0, 1, 2)
    >>> plane_axes((10, 256, 216), (8.0, 1.4, 1.4))
    (1, 2, 0)
    """
    usual = (0, 1, 2)
    if len(shape) != 3:
        return usual
    if 1 in shape:
        through = [axis for axis in usual if shape[axis] == 1]
        return _around(through[0]) if len(through) == 1 else usual
    for axis in (0, 1):
        in_plane = [other for other in usual if other != axis]
        low, high = sorted(sizes[other] for other in in_plane)
        thick = low > 0 and sizes[axis] >= _THICK * high and high <= (1 + _ALIKE) * low
        if thick and shape[axis] < min(shape[other] for other in in_plane):
            return _around(axis)
    return usual


def _around(axis: int) -> tuple[int, int, int]:
    """Return the order of axes with this one last."""
    first, second = (other for other in (0, 1, 2) if other != axis)
    return first, second, axis
