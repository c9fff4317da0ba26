"""Mask files as viewers want them: NIfTI in the image's own shape, NRRD for 3D Slicer."""

from __future__ import annotations

import logging
import os
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cardiolabel.domain import LabelSet
from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io import nifti

logger = logging.getLogger(__name__)

NRRD = ".nrrd"
SUFFIXES = (*nifti.SUFFIXES, NRRD)
"""Mask files that are read and written; ``.nii.gz`` before ``.nii``."""


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
    if extension == NRRD:
        sitk.WriteImage(_image(frames, grid, like), name, useCompression=True)
    else:
        nifti.write_mask_like(frames, path, grid=grid)
    return path


@cache
def _results_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder of this process's own, removed at its end.

    MONAI Label's client saves a result under the server's file name in the temporary folder. Were that
    the same file, as on one machine it would be, the server's clean-up would delete what the client saved.
    """
    return tempfile.TemporaryDirectory(prefix="cardiolabel-results-")


def read(path: Path, labels: LabelSet, *, grid: nifti.Grid) -> NDArray[np.uint8]:
    """Read a mask file as ``(T, H, W)``, in the order of the image that it belongs to.

    A viewer may write the rows or columns of a mask in the other direction and say so in the affine; they
    are then turned. Any other difference between the affines is no statement about echo and is ignored.

    Parameters
    ----------
    path : Path
        A file of one of `SUFFIXES`.
    labels : LabelSet
        Values that it may hold.
    grid : Grid
        Geometry of the image.

    Raises
    ------
    ImageReadError
        Not a readable file of one of `SUFFIXES`.
    ImageContentError
        Not a mask: wrong axes, or values that the label set does not have.
    """
    if suffix(path.name) == NRRD:
        frames, affine = _read_nrrd(path)
    else:
        frames, affine = nifti.read_mask(path), nifti.read(path).grid.affine
    unknown = sorted(set(np.unique(frames).tolist()) - labels.known)
    if unknown:
        known = ", ".join(f"{value} {name}" for name, value in labels.values)
        shown = ", ".join(str(value) for value in unknown[:5])
        raise ImageContentError(f"{path.name}: label values {shown} are not known; expected 0 and {known}")
    return _turned(frames.astype(np.uint8), affine, grid)


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


def _image(frames: NDArray[np.uint8], grid: nifti.Grid, like: Path | None) -> sitk.Image:
    image = sitk.GetImageFromArray(frames)
    if like is not None and len(grid.shape) > 2:
        try:
            _copy_geometry(like, image)
            return image
        except RuntimeError:  # ITK refuses sheared affines; what it would show is then up to us
            logger.warning("ITK cannot read the geometry of an image; its NRRD mask follows the affine")
    # SimpleITK reads a still without its third axis; ITK's axes point left and posterior, NIfTI's do not.
    to_lps = np.diag([-1.0, -1.0, 1.0]) @ grid.affine[:3]
    spacing = np.linalg.norm(to_lps[:, :3], axis=0)
    if (spacing > 0).all():
        image.SetSpacing(spacing.tolist())
        left, _, right = np.linalg.svd(to_lps[:, :3] / spacing)
        image.SetDirection((left @ right).ravel().tolist())
        image.SetOrigin(to_lps[:, 3].tolist())
    return image


def _copy_geometry(source: Path, image: sitk.Image) -> None:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(source))
    reader.ReadImageInformation()
    axes = reader.GetDimension()
    image.SetSpacing(reader.GetSpacing()[:3])
    image.SetOrigin(reader.GetOrigin()[:3])
    image.SetDirection(np.reshape(reader.GetDirection(), (axes, axes))[:3, :3].ravel().tolist())


def _read_nrrd(path: Path) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """Frames, and an affine as NIfTI would have it."""
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise ImageReadError(f"{path.name}: not a readable NRRD file") from error
    frames = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() != 1 or frames.ndim not in (2, 3):
        raise ImageContentError(f"{path.name}: expected one label map (W, H) or (W, H, T)")
    axes = frames.ndim
    lps = np.eye(4)
    lps[:axes, :axes] = np.reshape(image.GetDirection(), (axes, axes)) * image.GetSpacing()
    lps[:axes, 3] = image.GetOrigin()
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps
    return (frames if axes == 3 else frames[np.newaxis]), affine
