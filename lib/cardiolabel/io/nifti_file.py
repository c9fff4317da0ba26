"""NIfTI files as bytes: the header as written, its limits, and the pixels behind it."""

from __future__ import annotations

import io
import logging
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
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

from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io.grid import Grid
from cardiolabel.io.inflate import MAX_RATIO, inflate, inflated_start
from cardiolabel.io.limits import pixel_bytes
from cardiolabel.io.nifti_affine import place
from cardiolabel.system.file_cache import FileState, file_state

__all__ = ["UNITS_MM", "NiftiHeader", "read_header", "read_pixels", "readable"]

UNITS_MM = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}

_HEADER_BYTES = 1024
_PADDING = 65536  # some writers leave a few bytes behind the pixels
_EXTENDER_BYTES = 4  # between the header and whatever comes next
_SCALED_BYTES = 8  # of a pixel that the header's slope and intercept made a float64
_COPIES = 2.25  # of the pixels: as they come out of gzip, which takes some room ahead, and in order
_TEMPORARY_BYTES = 1  # for each pixel: whether it is a number

_SMALLEST, _LARGEST = 1e-30, 1e30
"""Bounds of slopes and intercepts, so that scaled values fit float32 too."""

_GZIP_STARTS = b"\x1f\x8b"
_SILENT = logging.Logger("corrections of a header, which nobody needs to know")
_SILENT.addHandler(logging.NullHandler())

_NIFTI2_STARTS = tuple((540).to_bytes(4, order) for order in ("little", "big"))
_UNREADABLE = (ImageFileError, HeaderDataError, HeaderTypeError, WrapStructError)


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """Checked content of a file's header.

    Parameters
    ----------
    fields : nibabel NIfTI header
    shape : tuple of int
        Of the array on disk.
    dtype : numpy dtype
        Of the array on disk.
    begin : int
        Where in the file its pixels begin.
    is_scaled : bool
        Whether its values get a slope and an intercept, and are float64 then.
    grid : Grid
        Where its voxels lie.
    """

    fields: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    begin: int
    is_scaled: bool
    grid: Grid

    @property
    def end(self) -> int:
        """Where in the file its pixels end."""
        return self.begin + math.prod(self.shape) * self.dtype.itemsize

    @property
    def bytes_each(self) -> int:
        """Bytes of a pixel in memory."""
        return _SCALED_BYTES if self.is_scaled else self.dtype.itemsize

    @property
    def reading_bytes(self) -> int:
        """Most memory in bytes that reading the file takes."""
        each = _COPIES * self.dtype.itemsize + 3 * _SCALED_BYTES * self.is_scaled + _TEMPORARY_BYTES
        return int(math.prod(self.shape) * each)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn errors within the block into the message that the file is not readable."""
    try:
        yield
    except FileNotFoundError:
        raise ImageReadError(f"{path.name}: no such file") from None
    except (*_UNREADABLE, OSError, EOFError, ValueError, OverflowError, zlib.error) as error:
        raise ImageReadError(f"{path.name}: not a readable NIfTI file ({error})") from error
    except KeyError as error:  # how nibabel says that it does not know a code
        raise ImageReadError(f"{path.name}: not a readable NIfTI file (unknown code {error})") from error


def read_header(path: Path) -> NiftiHeader:
    """Read a file's header without pixels.

    Raises
    ------
    ImageReadError
        The file is missing or not NIfTI, or its pixels cannot be where its header says.
    ImageContentError
        Its header contradicts itself, or declares more pixels than the limit.
    """
    with readable(path):
        return _read_header(file_state(path))


@lru_cache(maxsize=4096)
def _read_header(state: FileState) -> NiftiHeader:
    path, _, size = Path(state[0]), *state[1:]
    compressed = path.name.lower().endswith(".gz")
    _check_compression(path, compressed)
    with path.open("rb") as file:
        head = inflated_start(file, _HEADER_BYTES) if compressed else file.read(_HEADER_BYTES)
    kind = (nib.Nifti2Image if head[:4] in _NIFTI2_STARTS else nib.Nifti1Image).header_class
    fields = kind(head[: kind.template_dtype.itemsize], check=False)
    shape, dtype = fields.get_data_shape(), fields.get_data_dtype()
    begin = _begin(path.name, fields)
    end = begin + max(math.prod(shape), 0) * dtype.itemsize
    if end > size * (MAX_RATIO if compressed else 1):
        raise ImageReadError(f"{path.name}: truncated, pixels {shape} need {end} bytes; copy it again")
    is_scaled = _check_scaling(path.name, fields)
    pixel_bytes(path.name, shape, bytes_each=_SCALED_BYTES if is_scaled else dtype.itemsize)
    placement = place(fields, path.name)
    fields.check_fix(logger=_SILENT)
    shape = fields.get_data_shape()
    grid = Grid(
        tuple(shape),
        placement.affine,
        UNITS_MM[fields.get_xyzt_units()[0]],
        placement.step_problem,
        otherwise=placement.otherwise,
        placed=placement.placed,
    )
    return NiftiHeader(fields, tuple(shape), dtype, begin, is_scaled, grid)


def read_pixels(path: Path, header: NiftiHeader, *, alone: bool) -> NDArray[np.generic]:
    """Read a file's array.

    Decompressed to its end, as only then gzip's checksum is verified, but never beyond the size in the header
    and the limit.

    Parameters
    ----------
    path : Path
    header : NiftiHeader
        The file's own.
    alone : bool
        Refuse a file that holds anything besides its header and pixels.

    Raises
    ------
    ImageReadError, ImageContentError
        The file is cut, or holds more than is allowed.
    """
    most = header.end + (0 if alone else _PADDING)
    size = path.stat().st_size
    with path.open("rb") as file:
        content: bytes | bytearray
        if path.name.lower().endswith(".gz"):
            content = inflate(file, path.name, allowed=lambda _: most, alone=alone)
        elif size > most:
            raise ImageContentError(f"{path.name}: holds more than its header declares; write it again")
        else:
            content = file.read(most)
    if header.end > len(content):
        raise ImageReadError(
            f"{path.name}: truncated, pixels {header.shape} need {header.end} bytes; copy it again"
        )
    if alone and any(content[header.fields.sizeof_hdr : header.begin]):
        raise ImageContentError(
            f"{path.name}: holds something between its header and its pixels; save it without extensions"
        )
    if header.is_scaled:
        return np.asanyarray(ArrayProxy(io.BytesIO(content), header.fields))
    flat: NDArray[np.generic] = np.frombuffer(content, header.dtype, math.prod(header.shape), header.begin)
    return flat.reshape(header.shape, order="F")


def _check_compression(path: Path, compressed: bool) -> None:
    with path.open("rb") as file:
        is_gzip = file.read(2) == _GZIP_STARTS
    if is_gzip and not compressed:
        raise ImageReadError(f"{path.name}: is compressed by gzip; rename it to {path.name}.gz")
    if compressed and not is_gzip and path.stat().st_size > 0:
        raise ImageReadError(f"{path.name}: is not compressed by gzip; rename it to {path.name[:-3]}")


def _begin(name: str, fields: Any) -> int:
    """Return where pixels begin; a place within the header is an error."""
    offset, least = float(fields["vox_offset"]), fields.sizeof_hdr + _EXTENDER_BYTES
    if not (math.isfinite(offset) and offset >= least):
        raise ImageReadError(
            f"{name}: its pixels begin at byte {offset:g} by its header (vox_offset); expected {least} or"
            " more; save it again"
        )
    return int(offset)


def _check_scaling(name: str, fields: Any) -> bool:
    """Return whether values are scaled; refused where programs would read different values."""
    raw_slope, raw_inter = float(fields["scl_slope"]), float(fields["scl_inter"])
    slope, inter = fields.get_slope_inter()
    contradicts = slope is None and math.isfinite(raw_inter) and raw_inter != 0
    extreme = slope is not None and (
        not _SMALLEST <= abs(slope) <= _LARGEST or not abs(inter or 0.0) <= _LARGEST
    )
    if contradicts or extreme:
        raise ImageContentError(
            f"{name}: its values are scaled by {raw_slope:g} and moved by {raw_inter:g} (scl_slope and"
            " scl_inter); save it again with its values as they are"
        )
    return (slope, inter) not in ((None, None), (1.0, 0.0))
