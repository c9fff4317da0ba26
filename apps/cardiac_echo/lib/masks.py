"""Mask files as viewers want them: NIfTI in the image's own shape, NRRD for 3D Slicer."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cardiolabel.domain import LabelSet
from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io import nifti
from cardiolabel.io.inflate import MAX_RATIO
from cardiolabel.io.limits import pixel_bytes

logger = logging.getLogger(__name__)

NRRD = ".nrrd"
SUFFIXES = (*nifti.SUFFIXES, NRRD)
"""Mask files that are read and written; ``.nii.gz`` before ``.nii``."""

_PIXEL_TOLERANCE = 0.01
_NRRD_HEADER_BYTES = 65536


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
    if suffix(path.name) == NRRD:
        frames, affine = _read_nrrd(path)
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
    reader.SetImageIO("NiftiImageIO")
    reader.SetFileName(str(source))
    reader.ReadImageInformation()
    axes = reader.GetDimension()
    image.SetSpacing(reader.GetSpacing()[:3])
    image.SetOrigin(reader.GetOrigin()[:3])
    image.SetDirection(np.reshape(reader.GetDirection(), (axes, axes))[:3, :3].ravel().tolist())


def _read_nrrd(path: Path) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """Frames, and an affine as NIfTI would have it."""
    _check_nrrd(path)
    try:
        image = _nrrd_reader(path).Execute()
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


def _check_nrrd(path: Path) -> None:
    """Refuse what ITK would believe: pixels in another file of the server, and sizes that cannot be."""
    with path.open("rb") as file:
        head, end, _ = file.read(_NRRD_HEADER_BYTES).replace(b"\r\n", b"\n").partition(b"\n\n")
    fields = {line.partition(b":")[0].strip().lower() for line in head.split(b"\n")}
    if not head.startswith(b"NRRD000") or not end:
        raise ImageReadError(f"{path.name}: not a readable NRRD file")
    if fields & {b"data file", b"datafile"}:
        raise ImageReadError(f"{path.name}: its pixels lie in another file; save it as one .nrrd file")
    reader = _nrrd_reader(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise ImageReadError(f"{path.name}: not a readable NRRD file") from error
    shape = (*reader.GetSize(), reader.GetNumberOfComponents())
    pixel_bytes(path.name, shape, bytes_each=8)
    if math.prod(shape) > path.stat().st_size * MAX_RATIO:
        raise ImageReadError(f"{path.name}: truncated, it declares {shape} pixels; copy it again")


def _nrrd_reader(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO")  # whatever its content pretends to be
    reader.SetFileName(str(path))
    return reader
