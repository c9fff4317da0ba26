"""Mask files as viewers want them: NIfTI in the image's own shape, NRRD for 3D Slicer."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import LabelSet
from cardiolabel.errors import ImageContentError
from cardiolabel.io import nifti, nrrd

SUFFIXES = (*nifti.SUFFIXES, nrrd.SUFFIX)
"""Mask files that are read and written; ``.nii.gz`` before ``.nii``."""

_PIXEL_TOLERANCE = 0.01


def suffix(name: str) -> str | None:
    """Which of `SUFFIXES` a file name ends in.

    >>> suffix("patient0001_4CH_ED.nii.gz")
    '.nii.gz'
    """
    return next((one for one in SUFFIXES if name.lower().endswith(one)), None)


def write(frames: NDArray[np.uint8], grid: nifti.Grid, extension: str, *, like: Path | None = None) -> Path:
    """Write masks to a new temporary file, which the caller removes.

    Parameters
    ----------
    frames : ndarray, shape (T, H, W)
        Label values.
    grid : Grid
        Geometry of the image's file.
    extension : str
        One of `SUFFIXES`. NIfTI has the image's own shape; NRRD is always three-dimensional, ``(W, H, T)``,
        since Slicer segments nothing else.
    like : Path, optional
        The image's file. NRRD takes its geometry as ITK reads it, which is how Slicer shows the image.
    """
    handle, name = tempfile.mkstemp(dir=_results_folder().name, suffix=extension)
    os.close(handle)
    path = Path(name)
    if extension == nrrd.SUFFIX:
        path.write_bytes(nrrd.nrrd_bytes(frames, nrrd.geometry_of(grid, like)))
    else:
        path.write_bytes(nifti.mask_bytes(frames, grid, compressed=extension.endswith(".gz")))
    return path


@cache
def _results_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder of this process's own, removed at its end.

    MONAI Label's client saves a result under the server's file name in the temporary folder. Were that
    the same file, as on one machine it would be, the server's clean-up would delete what the client saved.
    """
    return tempfile.TemporaryDirectory(prefix="cardiolabel-results-")


def read(
    path: Path, labels: LabelSet, *, grid: nifti.Grid, segments: Mapping[int, str] | None = None
) -> NDArray[np.uint8]:
    """Read a mask file as ``(T, H, W)``, in the order of the image that it belongs to.

    A viewer may write the rows or columns of a mask in the other direction and say so in the affine; they
    are then turned. Its pixel size must be the image's, unless the file states none; its origin means nothing
    in echo and is ignored.

    Parameters
    ----------
    path : Path
        A file of one of `SUFFIXES`.
    labels : LabelSet
        Values that it may hold.
    grid : Grid
        Geometry of the image.
    segments : mapping of int to str, optional
        Structures of the file's values, where its writer counts its segments from 1 as Slicer does; they are
        exchanged for the values of ``labels``.

    Raises
    ------
    ImageReadError
        Not a readable file of one of `SUFFIXES`.
    ImageContentError
        Not a mask of this image: wrong axes or pixel size, or values that the label set does not have.
    """
    if suffix(path.name) == nrrd.SUFFIX:
        frames, affine = nrrd.read(path)
    else:
        frames, affine = nifti.read_mask(path), nifti.read(path).grid.affine
    if segments:
        frames = _renumbered(frames, segments, labels, path.name)
    labels.check(frames, path.name)
    _check_geometry(affine, grid, path.name)
    return _turned(frames.astype(np.uint8), affine, grid)


def _renumbered(
    frames: NDArray[np.generic], segments: Mapping[int, str], labels: LabelSet, name: str
) -> NDArray[np.generic]:
    """The frames with the values that ``labels`` gives to the names of their segments."""
    found = np.zeros(frames.shape, dtype=np.uint8)
    for value in np.unique(frames[frames != 0]).tolist():
        structure = segments.get(value)
        if structure is None or not labels.has(structure):
            called = f"is called {structure[:80]!r}" if structure else "has no name in label_info"
            raise ImageContentError(
                f"{name}: segment {value} {called}; expected {', '.join(labels.as_dict())}"
            )
        found[frames == value] = labels.value(structure)
    return found


def _check_geometry(affine: NDArray[np.float64], grid: nifti.Grid, name: str) -> None:
    """Refuse a mask of other pixels than the image's."""
    ours, theirs = (np.linalg.norm(one[:3, :2], axis=0) for one in (affine, grid.affine))
    unstated = np.allclose(ours, 1) and not affine[:3, 3].any()
    if unstated or not (ours.all() and theirs.all()):
        return
    if not np.allclose(ours, theirs, rtol=_PIXEL_TOLERANCE):
        raise ImageContentError(
            f"{name}: pixels of {ours[1]:.4g} x {ours[0]:.4g} (rows x columns), the image's are"
            f" {theirs[1]:.4g} x {theirs[0]:.4g}; save the mask with its image's geometry"
        )
    along = np.abs((affine[:3, :2] / ours).T @ (grid.affine[:3, :2] / theirs))
    if along[0, 1] > along[0, 0]:
        raise ImageContentError(f"{name}: rows and columns are exchanged; save it with its image's geometry")


def _turned(frames: NDArray[np.uint8], affine: NDArray[np.float64], grid: nifti.Grid) -> NDArray[np.uint8]:
    """The frames with columns and rows reversed where the affine is the image's, reversed."""
    ours, corner = affine[:3, :2], affine[:3, 3]
    flips = [bool(ours[:, axis] @ grid.affine[:3, axis] < 0) for axis in (0, 1)]
    for axis, flip in enumerate(flips):
        if flip:
            corner = corner + ours[:, axis] * (grid.shape[axis] - 1)
    pixel = np.linalg.norm(grid.affine[:3, :2], axis=0).max()
    if not any(flips) or np.linalg.norm(corner - grid.affine[:3, 3]) > pixel:
        return frames
    across, down = (-1 if flip else 1 for flip in flips)
    return np.ascontiguousarray(frames[:, ::down, ::across])
