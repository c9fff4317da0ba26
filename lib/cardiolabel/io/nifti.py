"""NIfTI files: ``[lateral, depth(, frame)]`` on disk, ``(T, H, W)`` in memory.

The order of rows and columns is kept as the file has it; where its voxels lie, its `Grid` knows.
"""

from __future__ import annotations

import gzip
import io
import logging
import math
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, HeaderTypeError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from cardiolabel.domain import Clip, Spacing, Stack
from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io.files import atomic
from cardiolabel.io.grid import Grid
from cardiolabel.io.inflate import MAX_RATIO, inflate
from cardiolabel.io.limits import pixel_bytes
from cardiolabel.io.nifti_affine import place
from cardiolabel.io.whole_values import whole_values

SUFFIXES = (".nii.gz", ".nii")
_UNITS_MM = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}

_HEADER_BYTES = 65536
_PADDING = 65536  # some writers leave a few bytes behind the pixels

_PIXELS_AT, _NO_EXTENSION = 352, bytes(4)
"""Where pixels begin in a NIfTI-1 file, and what is between them and the header."""

_GZIP_STARTS = b"\x1f\x8b"
_SILENT = logging.Logger("corrections of a header, which nobody needs to know")
_SILENT.addHandler(logging.NullHandler())

_NIFTI2_STARTS = tuple((540).to_bytes(4, order) for order in ("little", "big"))
_UNREADABLE = (ImageFileError, HeaderDataError, HeaderTypeError, WrapStructError)


@dataclass(frozen=True, eq=False)
class NiftiImage:
    """A file's clip and the geometry it is written back with."""

    clip: Clip
    grid: Grid


def is_nifti(path: Path) -> bool:
    """Whether a file is NIfTI by its name, in any case."""
    return path.name.lower().endswith(SUFFIXES)


def read(path: Path) -> NiftiImage:
    """Read a still ``(W, H)``, ``(W, H, 1)`` or a cine ``(W, H, T)``, ``(W, H, 1, T)``.

    Raises
    ------
    ImageReadError
        The file is missing, truncated or not NIfTI.
    ImageContentError
        Its shape, type or values (NaN, colour) cannot be an echo clip.
    """
    array, grid = _load(path)
    try:
        clip = Clip(_to_frames(array, grid), grid.spacing)
    except ImageContentError as error:
        raise ImageContentError(f"{path.name}: {error}") from None
    return NiftiImage(clip, grid)


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Read a label file as ``(T, H, W)`` uint8; as `read_placed_mask`, without its geometry."""
    return read_placed_mask(path)[0]


def read_placed_mask(path: Path) -> tuple[NDArray[np.uint8], Grid]:
    """Read a label file.

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
    array, grid = _load(path)
    try:
        frames = _to_frames(array, grid)
    except ImageContentError as error:
        raise ImageContentError(f"{path.name}: {error}") from None
    return whole_values(frames, path.name), grid


def write_clip(clip: Clip, path: Path, *, affine_mm: NDArray[np.float64] | None = None) -> None:
    """Write a clip; one frame becomes a 2-D file, several ``(W, H, T)``. Without spacing: 0.

    Parameters
    ----------
    clip : Clip
    path : Path
    affine_mm : ndarray, shape (4, 4), optional
        Where its (column, row, frame) lie in the patient, where that is known.
    """
    if affine_mm is not None and clip.spacing is not None:
        image = _image(_to_disk(clip.pixels, ndim=2 if clip.shape[0] == 1 else 3), affine_mm)
        image.header.set_xyzt_units("mm")
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
    """Write masks ``(T, H, W)`` with the shape and affine of the image that they belong to.

    Raises
    ------
    ImageContentError
        The masks do not have the image's shape.
    """
    with atomic(path) as temporary:
        temporary.write_bytes(mask_bytes(masks, grid, compressed=path.name.lower().endswith(".gz")))


def mask_bytes(masks: NDArray[np.uint8], grid: Grid, *, compressed: bool) -> bytes:
    """What `write_mask_like` writes, as ``.nii.gz`` if compressed, else as ``.nii``; errors as there."""
    if masks.shape != grid.frames_shape:
        raise ImageContentError(f"masks {masks.shape} do not fit an image of shape {grid.shape}")
    pixels = grid.to_disk(masks.astype(np.uint8, copy=False)).tobytes(order="F")
    return _packed(_mask_header(grid.shape, grid.affine.tobytes(), grid.unit_mm) + pixels, compressed)


def _load(path: Path) -> tuple[NDArray[np.generic], Grid]:
    try:
        content, header = _content(path)
        placement = place(header, path.name)
        header.check_fix(logger=_SILENT)
        shape = header.get_data_shape()
        needed = math.prod(shape) * header.get_data_dtype().itemsize
        if needed > len(content):
            raise ImageReadError(f"{path.name}: truncated, pixels {shape} need {needed} bytes; copy it again")
        array = np.asanyarray(ArrayProxy(io.BytesIO(content), header))
        unit_mm = _UNITS_MM[header.get_xyzt_units()[0]]
    except FileNotFoundError:
        raise ImageReadError(f"{path.name}: no such file") from None
    except (*_UNREADABLE, OSError, EOFError, ValueError, OverflowError, zlib.error) as error:
        # The system's own message would name folders.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ImageReadError(f"{path.name}: not a readable NIfTI file ({reason})") from error
    except KeyError as error:  # how nibabel says that it does not know a code
        raise ImageReadError(f"{path.name}: not a readable NIfTI file (unknown code {error})") from error
    grid = Grid(
        tuple(array.shape), placement.affine, unit_mm, placement.step_problem,
        otherwise=placement.otherwise, placed=placement.placed,
    )  # fmt: skip
    return array, grid


def _content(path: Path) -> tuple[bytes, Any]:
    """A file's content, and its header as written.

    Decompressed to its end, as only then gzip's checksum is verified, but never beyond what the header
    declares and the limit allows.
    """
    if not is_nifti(path):
        raise ImageReadError(f"{path.name}: expected a NIfTI file ending in .nii or .nii.gz")
    compressed = path.name.lower().endswith(".gz")
    _check_compression(path, compressed)
    most = path.stat().st_size * (MAX_RATIO if compressed else 1)
    header: Any = None

    def allowed(head: bytes) -> int:
        nonlocal header
        kind = _kind(head).header_class
        header = kind(head[: kind.template_dtype.itemsize], check=False)
        return _declared_bytes(path.name, header, most) + _PADDING

    with path.open("rb") as file:
        if compressed:
            return inflate(file, path.name, allowed=allowed), header
        head = file.read(_HEADER_BYTES)
        limit = allowed(head)
        if most > limit:
            raise ImageContentError(f"{path.name}: holds more than its header declares; write it again")
        return head + file.read(), header


def _check_compression(path: Path, compressed: bool) -> None:
    with path.open("rb") as file:
        is_gzip = file.read(2) == _GZIP_STARTS
    if is_gzip and not compressed:
        raise ImageReadError(f"{path.name}: is compressed by gzip; rename it to {path.name}.gz")
    if compressed and not is_gzip and path.stat().st_size > 0:
        raise ImageReadError(f"{path.name}: is not compressed by gzip; rename it to {path.name[:-3]}")


def _kind(head: bytes) -> Any:
    return nib.Nifti2Image if head[:4] in _NIFTI2_STARTS else nib.Nifti1Image


def _declared_bytes(name: str, header: Any, most: int) -> int:
    """Where the pixels end, by the header.

    Parameters
    ----------
    most : int
        Bytes that the file can hold at best.
    """
    shape, itemsize = header.get_data_shape(), header.get_data_dtype().itemsize
    end: int = max(header.get_data_offset(), 0) + max(math.prod(shape), 0) * itemsize
    if end > most:
        raise ImageReadError(f"{name}: truncated, pixels {shape} need {end} bytes; copy it again")
    # Scaled pixels become float64.
    scaled = header.get_slope_inter() not in ((None, None), (1.0, 0.0))
    pixel_bytes(name, shape, bytes_each=8 if scaled else itemsize)
    return end


def _to_frames(array: NDArray[np.generic], grid: Grid) -> NDArray[np.generic]:
    shape = array.shape
    cine = array.ndim == 4 and shape[2] == 1
    if not (cine or array.ndim in (2, 3)) or 0 in shape:
        raise ImageContentError(
            f"expected a still (W, H) or (W, H, 1) or a cine (W, H, T) or (W, H, 1, T), got {shape}"
        )
    return grid.to_frames(array)


def _to_disk(frames: NDArray[np.generic], *, ndim: int) -> NDArray[np.generic]:
    array = np.ascontiguousarray(frames.transpose(2, 1, 0))
    return array[:, :, 0] if ndim == 2 else array


def _image(array: NDArray[np.generic], affine: NDArray[np.float64]) -> Any:
    """An image to be saved; an affine of zeros becomes a pixel size of 0, which is "not known"."""
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
    """A mask's file up to its pixels; images of one scanner mostly share it."""
    image = _image(np.zeros(shape, dtype=np.uint8), np.frombuffer(affine).reshape(4, 4))
    image.header.set_xyzt_units(next(unit for unit, size in _UNITS_MM.items() if size == unit_mm))
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
    """What nibabel writes; its own writing goes row by row and takes ten times as long."""
    pixels = np.asanyarray(image.dataobj).astype(image.header.get_data_dtype(), copy=False)
    return _packed(_header_bytes(image) + pixels.tobytes(order="F"), compressed)


def _header_bytes(image: Any) -> bytes:
    image.update_header()
    image.header.set_slope_inter(1, 0)
    image.header["vox_offset"] = _PIXELS_AT
    found: bytes = image.header.binaryblock + _NO_EXTENSION
    return found


def _packed(content: bytes, compressed: bool) -> bytes:
    return gzip.compress(content, compresslevel=1, mtime=0) if compressed else content
