"""NIfTI files: ``[lateral, depth(, frame)]`` on disk, ``(T, H, W)`` in memory.

Rows and columns keep the order of the file; its `Grid` places the voxels.
"""

from __future__ import annotations

import gzip
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Clip, Spacing, Stack
from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io.files import atomic
from cardiolabel.io.grid import Grid
from cardiolabel.io.image_file import ImageFile, ImageHeader
from cardiolabel.io.nifti_file import UNITS_MM, NiftiHeader, read_header, read_pixels, readable
from cardiolabel.io.whole_values import whole_values
from cardiolabel.system.memory_budget import budget

SUFFIXES = (".nii.gz", ".nii")

_PIXELS_AT, _NO_EXTENSION = 352, bytes(4)
"""Start of the pixels in a NIfTI-1 file, and the bytes between header and pixels."""


def is_nifti(path: Path) -> bool:
    """Return whether a file is NIfTI by its name, in any case."""
    return path.name.lower().endswith(SUFFIXES)


def read(path: Path, *, alone: bool = False) -> ImageFile:
    """Read a still ``(W, H)``, ``(W, H, 1)`` or a cine ``(W, H, T)``, ``(W, H, 1, T)``.

    Parameters
    ----------
    path : Path
    alone : bool
        Refuse a file that holds anything besides its header and pixels, as whatever is uploaded must.

    Raises
    ------
    ImageReadError
        The file is missing, truncated or not NIfTI.
    ImageContentError
        Its shape, type or values (NaN, colour) cannot be an echo clip.
    TooLargeError, OverloadedError
        Reading it takes more memory than the limit, or than is left now.
    """
    array, grid = _load(path, alone=alone)
    try:
        clip = Clip(grid.to_frames(array), grid.spacing)
    except ImageContentError as error:
        raise ImageContentError(f"{path.name}: {error}") from None
    return ImageFile(clip, grid)


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Read a label file as ``(T, H, W)`` uint8; as `read_placed_mask`, without its geometry."""
    return read_placed_mask(path)[0]


def read_placed_mask(path: Path, *, alone: bool = False) -> tuple[NDArray[np.uint8], Grid]:
    """Read a label file; parameters as `read`.

    Returns
    -------
    masks : ndarray of uint8, shape (T, H, W)
    grid : Grid
        Where they lie.

    Raises
    ------
    ImageReadError, ImageContentError
        As `read`; also where values are not whole numbers in 0..255.
    """
    array, grid = _load(path, alone=alone)
    return whole_values(grid.to_frames(array), path.name), grid


def write_clip(clip: Clip, path: Path, *, affine_mm: NDArray[np.float64] | None = None) -> None:
    """Write a clip; one frame becomes a 2-D file, several ``(W, H, T)``. Without a pixel size it is 0.

    Parameters
    ----------
    clip : Clip
    path : Path
    affine_mm : ndarray, shape (4, 4), optional
        Where its (column, row, frame) lie in the patient, where that is known.
    """
    if affine_mm is not None and clip.spacing is not None:
        image = _image(_to_disk(clip.pixels, ndim=2 if clip.shape[0] == 1 else 3), affine_mm)
        image.header.set_xyzt_units("mm", "sec" if clip.frame_rate_hz else None)
        _save(image, path)
        return
    frame_s = 1.0 / clip.frame_rate_hz if clip.frame_rate_hz else 0.0
    _save_frames(_to_disk(clip.pixels, ndim=2 if clip.shape[0] == 1 else 3), path, clip.spacing, frame_s)


def write_stack(stack: Stack, path: Path) -> None:
    """Write a stack as ``(W, H, Z)`` in mm, placed in the patient where the stack is."""
    affine = stack.affine
    if affine is None:
        affine = np.diag([-stack.spacing.col_mm, -stack.spacing.row_mm, stack.slice_spacing_mm, 1.0])
    image = _image(_to_disk(stack.pixels, ndim=3), affine)
    image.header.set_xyzt_units("mm")
    _save(image, path)


def write_mask(masks: NDArray[np.uint8], path: Path, *, spacing: Spacing | None) -> None:
    """Write masks ``(T, H, W)`` with the layout that `write_clip` gives their clip."""
    _save_frames(_to_disk(masks, ndim=2 if masks.shape[0] == 1 else 3), path, spacing, 0.0)


def write_mask_like(masks: NDArray[np.uint8], path: Path, *, grid: Grid) -> None:
    """Write masks ``(T, H, W)`` with the shape and affine of their image.

    Raises
    ------
    ImageContentError
        The masks do not have the image's shape.
    """
    with atomic(path) as temporary:
        temporary.write_bytes(mask_bytes(masks, grid, compressed=path.name.lower().endswith(".gz")))


def mask_bytes(masks: NDArray[np.uint8], grid: Grid, *, compressed: bool) -> bytes:
    """Return the bytes that `write_mask_like` writes, as ``.nii.gz`` if compressed, else as ``.nii``; errors
    as there.
    """
    if masks.shape != grid.frames_shape:
        raise ImageContentError(f"masks {masks.shape} do not fit an image of shape {grid.shape}")
    pixels = grid.to_disk(masks.astype(np.uint8, copy=False)).tobytes(order="F")
    return _packed(_mask_header(grid.shape, grid.affine.tobytes(), grid.unit_mm) + pixels, compressed)


def read_grid(path: Path) -> Grid:
    """Read where the voxels of a file lie from its header alone; errors as `read_header`."""
    return header_of(path).grid


def image_header(path: Path) -> ImageHeader:
    """Read the size of an image from its header alone; errors as `header_of`."""
    header = header_of(path)
    return ImageHeader(header.grid, header.bytes_each, header.reading_bytes)


def header_of(path: Path) -> NiftiHeader:
    """Read a file's header without pixels; errors as `read_header`, also for another kind of file."""
    if not is_nifti(path):
        raise ImageReadError(f"{path.name}: expected a NIfTI file ending in .nii or .nii.gz")
    header = read_header(path)
    shape = header.shape
    cine = len(shape) == 4 and shape[2] == 1
    if not (cine or len(shape) in (2, 3)) or 0 in shape:
        raise ImageContentError(
            f"{path.name}: expected a still (W, H) or (W, H, 1) or a cine (W, H, T) or (W, H, 1, T),"
            f" got {shape}"
        )
    return header


def _load(path: Path, *, alone: bool) -> tuple[NDArray[np.generic], Grid]:
    header = header_of(path)
    with budget.reserved(path.name, header.reading_bytes), readable(path):
        return read_pixels(path, header, alone=alone), header.grid


def _to_disk(frames: NDArray[np.generic], *, ndim: int) -> NDArray[np.generic]:
    array = np.ascontiguousarray(frames.transpose(2, 1, 0))
    return array[:, :, 0] if ndim == 2 else array


def _image(array: NDArray[np.generic], affine: NDArray[np.float64]) -> Any:
    """Make an image to save; an affine of zeros becomes a pixel size of 0, which means "unknown"."""
    if not affine.any():
        image: Any = nib.Nifti1Image(array, None)
        image.header["pixdim"][1:3] = 0
        return image
    if np.isfinite(affine).all() and np.linalg.det(affine[:3, :3]):
        return nib.Nifti1Image(array, affine)
    image = nib.Nifti1Image(array, None)  # an axis has no length: no rotation can be told
    image.header.set_sform(affine, code="aligned")
    image.header["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    return image


@lru_cache(maxsize=256)
def _mask_header(shape: tuple[int, ...], affine: bytes, unit_mm: float) -> bytes:
    """Return the bytes of a mask's file before its pixels, cached, as images of one scanner share them."""
    image = _image(np.zeros(shape, dtype=np.uint8), np.frombuffer(affine).reshape(4, 4))
    image.header.set_xyzt_units(next(unit for unit, size in UNITS_MM.items() if size == unit_mm))
    return _header_bytes(image)


def _save_frames(array: NDArray[np.generic], path: Path, spacing: Spacing | None, frame_s: float) -> None:
    third = frame_s or 1.0
    affine = np.diag([-spacing.col_mm, -spacing.row_mm, third, 1.0]) if spacing else np.zeros((4, 4))
    image = _image(array, affine)
    image.header.set_xyzt_units("mm" if spacing else "unknown", "sec")
    _save(image, path)


def _save(image: Any, path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(_content_of(image, compressed=path.name.lower().endswith(".gz")))


def _content_of(image: Any, *, compressed: bool) -> bytes:
    """Return the bytes that nibabel would write, in a tenth of its time."""
    pixels = np.asanyarray(image.dataobj).astype(image.header.get_data_dtype(), copy=False)
    return _packed(_header_bytes(image) + pixels.tobytes(order="F"), compressed)


def _header_bytes(image: Any) -> bytes:
    image.update_header()
    image.header.set_slope_inter(1, 0)
    image.header["vox_offset"] = _PIXELS_AT
    block: bytes = image.header.binaryblock + _NO_EXTENSION
    return block


def _packed(content: bytes, compressed: bool) -> bytes:
    return gzip.compress(content, compresslevel=1, mtime=0) if compressed else content
