"""NRRD label maps, as 3D Slicer takes them: written here, read by ITK."""

from __future__ import annotations

import gzip
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cardiolabel.cache import FileState, file_state
from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io.grid import Grid
from cardiolabel.io.inflate import MAX_RATIO
from cardiolabel.io.limits import pixel_bytes
from cardiolabel.io.segments import Segment, segments_of
from cardiolabel.io.utf8_path import utf8_path

logger = logging.getLogger(__name__)

SUFFIX = ".nrrd"

_GZIP_STARTS = b"\x1f\x8b"

_HEADER_BYTES = 65536
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
    """Step from pixel to pixel along columns, rows and frames, and the first pixel's place: LPS, mm."""

    directions: tuple[tuple[float, ...], ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    origin: tuple[float, ...] = (0.0, 0.0, 0.0)


def nrrd_bytes(frames: NDArray[np.uint8], geometry: Geometry) -> bytes:
    """A file of masks ``(T, H, W)``: what ITK writes, in a fraction of its time."""
    sizes = frames.shape[::-1]
    header = _HEADER.format(*sizes, *map(_vector, geometry.directions), _vector(geometry.origin))
    return header.encode("ascii") + gzip.compress(frames.tobytes(), compresslevel=1, mtime=0)


def _vector(values: tuple[float, ...]) -> str:
    return "(" + ",".join(f"{value + 0.0:.17g}" for value in values) + ")"


def geometry_of(grid: Grid, like: Path | None) -> Geometry:
    """Where the masks of an image lie: as ITK reads the image's file, which is how Slicer shows it.

    Without a file, or where ITK cannot read its geometry, as the affine says.
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
    """What an NRRD file holds.

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


def read(path: Path) -> LabelMap:
    """Read a label map or a segmentation.

    Raises
    ------
    ImageReadError
        Not a readable file, or one whose pixels lie elsewhere.
    ImageContentError
        Not one label map, or one whose axes are not perpendicular.
    """
    fields = _check(path)
    try:
        with _reader(path, "NrrdImageIO") as reader:
            image = reader.Execute()
    except RuntimeError as error:
        raise ImageReadError(f"{path.name}: not a readable NRRD file") from error
    frames = sitk.GetArrayFromImage(image)
    segments = segments_of(fields)
    layers = image.GetNumberOfComponentsPerPixel()
    axes = image.GetDimension()
    if axes not in (2, 3) or (layers != 1 and not segments):
        raise ImageContentError(f"{path.name}: expected one label map (W, H) or (W, H, T)")
    lps = np.eye(4)
    lps[:axes, :axes] = np.reshape(image.GetDirection(), (axes, axes)) * image.GetSpacing()
    lps[:axes, 3] = image.GetOrigin()
    grid = Grid(image.GetSize(), np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps)
    if axes == 2:
        frames = frames[np.newaxis]
    cols, rows, planes = grid.axes
    order = [2 - planes, 2 - rows, 2 - cols, *range(3, frames.ndim)]  # the array's axes are (z, y, x, layer)
    return LabelMap(np.ascontiguousarray(frames.transpose(order)), grid, segments)


def _check(path: Path) -> dict[str, str]:
    """Refuse what ITK would believe: pixels in another file of the server, and sizes that cannot be.

    Returns
    -------
    dict of str to str
        The header's fields and key/value pairs, as written.
    """
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    if start[:2] == _GZIP_STARTS:
        raise ImageReadError(f"{path.name}: is compressed by gzip as a whole; unpack it first")
    head, end, _ = start.replace(b"\r\n", b"\n").partition(b"\n\n")
    if not head.startswith(b"NRRD000") or not end:
        raise ImageReadError(f"{path.name}: not a readable NRRD file")
    lines = (line.partition(":") for line in head.decode("utf-8", "replace").split("\n"))
    fields = {
        key.strip(): text.removeprefix("=").strip() for key, _, text in lines if not key.startswith("#")
    }
    if {key.lower() for key in fields} & {"data file", "datafile"}:
        raise ImageReadError(f"{path.name}: its pixels lie in another file; save it as one .nrrd file")
    try:
        with _reader(path, "NrrdImageIO") as reader:
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise ImageReadError(f"{path.name}: not a readable NRRD file") from error
    shape = (*reader.GetSize(), reader.GetNumberOfComponents())
    pixel_bytes(path.name, shape, bytes_each=8)
    if math.prod(shape) > path.stat().st_size * MAX_RATIO:
        raise ImageReadError(f"{path.name}: truncated, it declares {shape} pixels; copy it again")
    return fields


@contextmanager
def _reader(path: Path, kind: str) -> Iterator[sitk.ImageFileReader]:
    reader = sitk.ImageFileReader()
    reader.SetImageIO(kind)  # whatever its content pretends to be
    with utf8_path(path) as name:
        reader.SetFileName(name)
        yield reader
