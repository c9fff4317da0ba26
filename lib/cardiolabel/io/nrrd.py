"""NRRD label maps for 3D Slicer: written here, read by ITK."""

from __future__ import annotations

import gzip
import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io.grid import Grid
from cardiolabel.io.inflate import MAX_RATIO, is_single_member
from cardiolabel.io.limits import pixel_bytes
from cardiolabel.io.segments import Segment, segments_of
from cardiolabel.io.utf8_path import utf8_path
from cardiolabel.system.file_cache import FileState, file_state
from cardiolabel.system.memory_budget import budget

logger = logging.getLogger(__name__)

SUFFIX = ".nrrd"

_GZIP_STARTS = b"\x1f\x8b"

_HEADER_BYTES = 65536
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_SKIPS = ("line skip", "lineskip", "byte skip", "byteskip")

_COPIES = 3
"""Copies of the pixels in ITK's memory and here, while they are read."""

_TEMPORARY_BYTES = 4
"""Bytes per pixel for comparisons and label values."""

_HEADER = """NRRD0004
# Complete NRRD file format specification at:
# http://teem.sourceforge.net/nrrd/format.html
type: unsigned char
dimension: 3
space: left-posterior-superior
sizes: {} {} {}
space directions: {} {} {}
kinds: domain domain domain
encoding: gzip
space origin: {}

"""


@dataclass(frozen=True)
class Geometry:
    """Step between pixels along columns, rows and frames, and the first pixel's place: LPS, mm."""

    directions: tuple[tuple[float, ...], ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    origin: tuple[float, ...] = (0.0, 0.0, 0.0)


def nrrd_bytes(frames: NDArray[np.uint8], geometry: Geometry) -> bytes:
    """Return a NRRD file of masks ``(T, H, W)`` as ITK writes it, in a fraction of the time."""
    sizes = frames.shape[::-1]
    header = _HEADER.format(*sizes, *map(_vector, geometry.directions), _vector(geometry.origin))
    return header.encode("ascii") + gzip.compress(frames.tobytes(), compresslevel=1, mtime=0)


def _vector(values: tuple[float, ...]) -> str:
    return "(" + ",".join(f"{value + 0.0:.17g}" for value in values) + ")"


def geometry_of(grid: Grid, like: Path | None) -> Geometry:
    """Return the geometry of an image's masks as ITK reads the image, which is how Slicer shows it.

    Without a file, or where ITK cannot read its geometry, it follows the affine.
    """
    if like is not None and len(grid.shape) > 2:
        try:
            itk = _as_itk_reads(file_state(like))
            return Geometry(tuple(itk.directions[axis] for axis in grid.axes), itk.origin)
        except RuntimeError:  # ITK refuses sheared affines; what it would show is then up to us
            logger.warning("ITK cannot read the geometry of an image; its NRRD mask follows the affine")
    # SimpleITK reads a still without its third axis; ITK's axes point left and posterior, NIfTI's do not.
    to_lps = np.diag([-1.0, -1.0, 1.0]) @ grid.affine_mm[:3]
    spacing = np.linalg.norm(to_lps[:, :3], axis=0)
    if not (spacing > 0).all():
        return Geometry()
    left, _, right = np.linalg.svd(to_lps[:, :3] / spacing)
    return _geometry((left @ right) * spacing, to_lps[:, 3])


@lru_cache(maxsize=4096)
def _as_itk_reads(state: FileState) -> Geometry:
    with _reader(Path(state[0]), "NiftiImageIO") as reader:
        reader.ReadImageInformation()
    axes = reader.GetDimension()
    directions = np.reshape(reader.GetDirection(), (axes, axes)) * reader.GetSpacing()
    return _geometry(directions[:3, :3], np.array(reader.GetOrigin()[:3]))


def _geometry(steps: NDArray[np.float64], origin: NDArray[np.float64]) -> Geometry:
    return Geometry(tuple(map(tuple, steps.T.tolist())), tuple(origin.tolist()))


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Content of an NRRD file.

    Parameters
    ----------
    frames : ndarray, shape (T, H, W)
        Label values; of a segmentation in layers, those of each layer, shape (T, H, W, layers).
    grid : Grid
        Where they lie.
    segments : tuple of Segment
        What the file itself says of its values, as ``.seg.nrrd`` does; else nothing.
    """

    frames: NDArray[np.generic]
    grid: Grid
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True, eq=False)
class NrrdHeader:
    """Content of a file's header, before any pixel is read.

    Parameters
    ----------
    grid : Grid
        Where they lie.
    layers : int
        Values for each pixel.
    bytes_each : int
        Of each value.
    segments : tuple of Segment
        As in `LabelMap`.
    fields : dict of str to str
        The header's fields and key/value pairs, as written.
    end : int
        Where in the file the header ends.
    """

    grid: Grid
    layers: int
    bytes_each: int
    segments: tuple[Segment, ...]
    fields: dict[str, str]
    end: int

    @property
    def data_bytes(self) -> int:
        """Bytes of all values, decompressed."""
        return math.prod(self.grid.shape) * self.layers * self.bytes_each


def read_header(path: Path) -> NrrdHeader:
    """Read a file's header without pixels; errors as `read`."""
    fields, end = _fields(path)
    try:
        with _reader(path, "NrrdImageIO") as reader:
            reader.ReadImageInformation()
        pixel = sitk.Image([1, 1], reader.GetPixelIDValue())
    except RuntimeError as error:
        raise ImageReadError(f"{path.name}: not a readable NRRD file") from error
    axes, size, layers = reader.GetDimension(), reader.GetSize(), reader.GetNumberOfComponents()
    bytes_each = pixel.GetSizeOfPixelComponent()
    pixel_bytes(path.name, (*size, layers), bytes_each=bytes_each)
    if math.prod(size) * layers > path.stat().st_size * MAX_RATIO:
        raise ImageReadError(f"{path.name}: truncated, it declares {(*size, layers)} pixels; copy it again")
    segments = segments_of(fields)
    most = max((segment.layer + 1 for segment in segments), default=1)
    if axes not in (2, 3) or layers > most:
        raise ImageContentError(f"{path.name}: expected one label map (W, H) or (W, H, T)")
    lps = np.eye(4)
    lps[:axes, :axes] = np.reshape(reader.GetDirection(), (axes, axes)) * reader.GetSpacing()
    lps[:axes, 3] = reader.GetOrigin()
    grid = Grid(tuple(size), np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps)
    return NrrdHeader(grid, layers, bytes_each, segments, fields, end)


def read(path: Path, *, alone: bool = False) -> LabelMap:
    """Read a label map or a segmentation.

    Parameters
    ----------
    path : Path
    alone : bool
        Refuse a file that holds anything besides its header and pixels, as whatever is uploaded must.

    Raises
    ------
    ImageReadError
        Not a readable file, or one whose pixels lie elsewhere.
    ImageContentError
        Not one label map, or one whose axes are not perpendicular.
    TooLargeError, OverloadedError
        Reading it takes more memory than the limit, or than is left now.
    """
    header = read_header(path)
    pixels = math.prod(header.grid.shape) * header.layers
    with budget.reserved(path.name, _COPIES * header.data_bytes + _TEMPORARY_BYTES * pixels):
        if alone:
            _check_alone(path, header)
        try:
            with _reader(path, "NrrdImageIO") as reader:
                frames = sitk.GetArrayFromImage(reader.Execute())
        except RuntimeError as error:
            raise ImageReadError(f"{path.name}: not a readable NRRD file") from error
        if len(header.grid.shape) == 2:
            frames = frames[np.newaxis]
        cols, rows, planes = header.grid.axes
        # The array's axes are (z, y, x, layer).
        order = [2 - planes, 2 - rows, 2 - cols, *range(3, frames.ndim)]
        return LabelMap(np.ascontiguousarray(frames.transpose(order)), header.grid, header.segments)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Return a header's fields, and where it ends; refused where its pixels are in another file."""
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    if start[:2] == _GZIP_STARTS:
        raise ImageReadError(f"{path.name}: is compressed by gzip as a whole; unpack it first")
    blank = _BLANK_LINE.search(start)
    if not start.startswith(b"NRRD000") or not blank:
        raise ImageReadError(f"{path.name}: not a readable NRRD file")
    head = start[: blank.start()].replace(b"\r\n", b"\n")
    lines = (line.partition(":") for line in head.decode("utf-8", "replace").split("\n"))
    fields = {
        key.strip(): text.removeprefix("=").strip() for key, _, text in lines if not key.startswith("#")
    }
    if {key.lower() for key in fields} & {"data file", "datafile"}:
        raise ImageReadError(f"{path.name}: its pixels lie in another file; save it as one .nrrd file")
    return fields, blank.end()


def _check_alone(path: Path, header: NrrdHeader) -> None:
    """Refuse anything before, between or behind the pixels."""
    fields = {key.lower(): text.lower() for key, text in header.fields.items()}
    encoding = fields.get("encoding", "")
    skipped = any(fields.get(name, "0") != "0" for name in _SKIPS)
    if skipped or encoding not in ("raw", "gzip", "gz"):
        raise ImageContentError(f"{path.name}: expected pixels right behind the header, raw or by gzip")
    with path.open("rb") as file:
        file.seek(header.end)
        if encoding == "raw":
            is_alone = path.stat().st_size - header.end == header.data_bytes
        else:
            is_alone = is_single_member(file, header.data_bytes)
    if not is_alone:
        raise ImageContentError(f"{path.name}: holds more or less than its pixels; write it again")


@contextmanager
def _reader(path: Path, kind: str) -> Iterator[sitk.ImageFileReader]:
    reader = sitk.ImageFileReader()
    reader.SetImageIO(kind)  # whatever its content pretends to be
    with utf8_path(path) as name:
        reader.SetFileName(name)
        yield reader
