"""MetaImage files (``.mhd`` with its ``.raw``, or ``.mha``): ``[lateral, depth(, frame)]`` on disk.

Decoded here rather than by SimpleITK, which returns arbitrary pixels for damaged compressed data, states a
pixel size of 1 where the header has none, and follows a header to any file on the disk. ``TransformMatrix``
and ``Offset`` place the voxels, and join masks with images.

References
----------
MetaIO documentation, https://itk.org/Wiki/ITK/MetaIO/Documentation
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Clip, Spacing
from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io.grid import Grid
from cardiolabel.io.image_file import ImageFile, ImageHeader
from cardiolabel.io.inflate import MAX_RATIO
from cardiolabel.io.limits import pixel_bytes
from cardiolabel.io.whole_values import whole_values
from cardiolabel.system.memory_budget import budget

__all__ = ["SUFFIXES", "image_header", "read", "read_grid", "read_placed_mask"]

SUFFIXES = (".mhd", ".mha")

_HEADER_BYTES = 65536
_INCOMPRESSIBLE = 1024**2  # by which data that cannot be compressed grow at most, with their header
_COPIES = 3  # of the pixels, while they are read
_MATRIX = ("TransformMatrix", "Rotation", "Orientation")
_OFFSET = ("Offset", "Origin", "Position")
_TYPES = {
    "MET_UCHAR": "u1",
    "MET_CHAR": "i1",
    "MET_USHORT": "u2",
    "MET_SHORT": "i2",
    "MET_UINT": "u4",
    "MET_INT": "i4",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}


@dataclass(frozen=True)
class _Header:
    """Fields of the header, and where it ends in the file."""

    path: Path
    fields: dict[str, str]
    end: int

    def is_true(self, *names: str) -> bool:
        return any(self.fields.get(name, "").lower() in ("true", "1") for name in names)


def read(path: Path) -> ImageFile:
    """Read a still ``(x, y)``, ``(x, y, 1)`` or a cine ``(x, y, t)``, ``(x, y, 1, t)``.

    Parameters
    ----------
    path : Path
        A ``.mhd`` header beside its data, or a ``.mha`` file.

    Returns
    -------
    ImageFile
        Its clip has a pixel size in mm from ``ElementSpacing``, and none where that is absent.

    Raises
    ------
    ImageReadError
        The file or its data is missing, truncated or not MetaImage.
    ImageContentError
        Its shape, type or values (NaN, colour) cannot be an echo clip.
    """
    header = _header(path)
    array = _array(header)
    try:
        grid = _grid(header)
        return ImageFile(Clip(grid.to_frames(array), grid.spacing), grid)
    except ImageContentError as error:
        raise ImageContentError(f"{path.name}: {error}") from None


def read_grid(path: Path) -> Grid:
    """Read where the voxels of a file lie; errors as `read`."""
    return _grid(_header(path))


def image_header(path: Path) -> ImageHeader:
    """Read the size of an image from its header alone; errors as `read`."""
    header = _header(path)
    bytes_each = _dtype(header).itemsize
    return ImageHeader(_grid(header), bytes_each, _COPIES * math.prod(_size(header)) * bytes_each)


def read_placed_mask(path: Path, *, alone: bool = False) -> tuple[NDArray[np.uint8], Grid]:
    """Read a label file.

    Parameters
    ----------
    path : Path
        As for `read`.
    alone : bool
        Refuse a file that holds anything besides its header and pixels, as whatever is uploaded must.

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
    header = _header(path)
    grid = _grid(header)
    return whole_values(grid.to_frames(_array(header, alone=alone)), path.name), grid


def _header(path: Path) -> _Header:
    """Return the fields up to ``ElementDataFile``, which ends a MetaImage header."""
    if path.suffix.lower() not in SUFFIXES:
        raise ImageReadError(f"{path.name}: expected a MetaImage file ending in .mhd or .mha")
    with _opened(path) as file:
        content = file.read(_HEADER_BYTES)
    fields: dict[str, str] = {}
    end = 0
    for line in content.split(b"\n"):
        end += len(line) + 1
        key, _, value = line.decode("utf-8", errors="replace").partition("=")
        fields[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            return _Header(path, fields, end)
    raise ImageReadError(f"{path.name}: not a MetaImage header; expected a line ElementDataFile = ...")


def _array(header: _Header, *, alone: bool = False) -> NDArray[np.generic]:
    """Decode the data as ``(x, y, t)``."""
    name = header.path.name
    size, dtype = _size(header), _dtype(header)
    expected = math.prod(size) * dtype.itemsize
    if expected <= _most_bytes(header):  # else it is cut
        pixel_bytes(name, size, bytes_each=dtype.itemsize)
    with budget.reserved(name, _COPIES * min(expected, _most_bytes(header))):
        data = _data(header, expected, alone=alone)
        if len(data) != expected:
            raise ImageReadError(
                f"{name}: {len(data)} bytes of pixels, {size} of {header.fields['ElementType']} needs"
                f" {expected}; copy it again"
            )
        return np.frombuffer(data, dtype).reshape(size, order="F").astype(dtype.newbyteorder("="))


def _dtype(header: _Header) -> np.dtype[Any]:
    """Return the type of a pixel on disk, with its byte order."""
    name = header.path.name
    kind = header.fields.get("ElementType", "absent")
    if header.fields.get("ElementNumberOfChannels", "1") != "1" or kind.endswith("_ARRAY"):
        raise ImageContentError(f"{name}: expected grey values, got several channels")
    if kind not in _TYPES:
        raise ImageReadError(f"{name}: ElementType is {kind}; expected one of {', '.join(_TYPES)}")
    big_endian = header.is_true("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
    return np.dtype(_TYPES[kind]).newbyteorder(">" if big_endian else "<")


def _size(header: _Header) -> tuple[int, int, int]:
    """Return ``(x, y, t)`` from ``DimSize``, where an axis of slices may be 1."""
    text = header.fields.get("DimSize", "absent")
    words = text.split()
    if not words or not all(word.isdecimal() for word in words):
        raise ImageReadError(f"{header.path.name}: DimSize is {text}; expected whole numbers")
    size = [int(word) for word in words]
    if len(size) == 4 and size[2] == 1:
        del size[2]
    if len(size) == 2:
        size.append(1)
    if len(size) != 3 or 0 in size:
        raise ImageContentError(
            f"{header.path.name}: expected a still (x, y), (x, y, 1) or a cine (x, y, t), got DimSize {text}"
        )
    return size[0], size[1], size[2]


def _most_bytes(header: _Header) -> int:
    """Return the most bytes of pixels that the data file can hold."""
    source, _ = _data_file(header)
    return source.stat().st_size * (MAX_RATIO if header.is_true("CompressedData") else 1)


def _data(header: _Header, expected: int, *, alone: bool) -> bytes:
    """Return the decompressed data, at most one byte more than expected."""
    name, fields = header.path.name, header.fields
    if not header.is_true("BinaryData"):
        raise ImageReadError(f"{name}: BinaryData is not True; save it as binary")
    source, start = _data_file(header)
    with _opened(source) as file:
        length = source.stat().st_size
        if alone and "HeaderSize" in fields:
            raise ImageContentError(f"{name}: expected pixels right behind the header; write it again")
        skip = int(fields["HeaderSize"]) if fields.get("HeaderSize", "").lstrip("-").isdecimal() else 0
        file.seek(max(0, length - expected) if skip < 0 else start + skip)
        if not header.is_true("CompressedData"):
            return file.read(min(length, expected + 1))
        if length > expected + _INCOMPRESSIBLE:
            raise ImageReadError(f"{source.name}: holds more than its header declares; write it again")
        stream = zlib.decompressobj(wbits=47)
        try:
            data = stream.decompress(file.read(), expected + 1)
        except zlib.error as error:
            raise ImageReadError(f"{source.name}: damaged data ({error}); copy it again") from error
    if len(data) == expected and not stream.eof:
        raise ImageReadError(f"{source.name}: damaged data (no checksum at its end); copy it again")
    if alone and stream.unused_data:
        raise ImageContentError(f"{name}: holds something behind its pixels; write it again")
    return data


def _data_file(header: _Header) -> tuple[Path, int]:
    """Return the file of pixels and where they start; only a file beside the header is accepted."""
    name = header.fields["ElementDataFile"]
    if name.upper() == "LOCAL":
        return header.path, header.end
    readings = (PurePosixPath(name), PureWindowsPath(name))
    outside = any(reading.anchor or len(reading.parts) != 1 for reading in readings) or name == ".."
    if outside or name.upper().startswith("LIST") or "%" in name:
        raise ImageReadError(
            f"{header.path.name}: ElementDataFile is {name!r}; expected one file beside the header"
        )
    source = header.path.parent / name
    if "\0" in name or not source.is_file():
        raise ImageReadError(
            f"{header.path.name}: its data file {name!r} is missing; copy it beside the header"
        )
    return source, 0


def _spacing(header: _Header) -> Spacing | None:
    text = header.fields.get("ElementSpacing", header.fields.get("ElementSize"))
    if text is None:
        return None
    try:
        col_mm, row_mm = (float(word) for word in text.split()[:2])
    except ValueError:
        raise ImageContentError(f"ElementSpacing is {text!r}; expected two or more lengths in mm") from None
    if not all(math.isfinite(size_mm) and size_mm > 0 for size_mm in (row_mm, col_mm)):
        return None
    return Spacing(row_mm=row_mm, col_mm=col_mm)


def _grid(header: _Header) -> Grid:
    """Return the geometry; axes point left, posterior and superior unless the header says otherwise."""
    size, spacing = _size(header), _spacing(header)
    if spacing is None:
        return Grid(size, np.zeros((4, 4)))
    matrix, offset = (_numbers(header, *names) for names in (_MATRIX, _OFFSET))
    axes = len(offset) or 3
    lps = np.eye(4)
    if len(matrix) == axes * axes and axes in (2, 3):
        lps[:axes, :axes] = np.reshape(matrix, (axes, axes)).T  # a row for each axis of the file
    if axes in (2, 3):
        lps[:axes, 3] = offset or 0.0
    lps[:3, :3] *= [spacing.col_mm, spacing.row_mm, _step_mm(header)]
    return Grid(size, np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps)


def _numbers(header: _Header, *names: str) -> list[float]:
    text = next((header.fields[name] for name in names if name in header.fields), "")
    try:
        return [float(word) for word in text.split()]
    except ValueError:
        raise ImageContentError(f"{header.path.name}: {names[0]} is {text!r}; expected numbers") from None


def _step_mm(header: _Header) -> float:
    sizes = _numbers(header, "ElementSpacing", "ElementSize")
    return sizes[2] if len(sizes) > 2 and math.isfinite(sizes[2]) and sizes[2] > 0 else 0.0


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise ImageReadError(f"{path.name}: no such file") from None
    except OSError as error:
        raise ImageReadError(f"{path.name}: cannot be read ({error.strerror})") from error
