"""The one reader of image files: content decides the format.

A new format is one module with a `read` and, where its header can be read alone, a `header_of`, and one
row of `FORMATS`. No other room calls a format's own reader.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cardiolabel.errors import ImageReadError
from cardiolabel.io import metaimage, nifti, picture, ultrasound_dicom, video
from cardiolabel.io.grid import Grid
from cardiolabel.io.image_file import ImageFile, ImageHeader
from cardiolabel.system.file_cache import FileState, file_state

__all__ = ["FORMATS", "ImageFormat", "read_image", "read_image_grid", "read_image_header"]

_START_BYTES = 4096
_GZIP = b"\x1f\x8b"
_NIFTI_SIZES = tuple(size.to_bytes(4, order) for size in (348, 540) for order in ("little", "big"))
_VIDEO_STARTS = (b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75", b"\x00\x00\x01\xba", b"GIF8")
"""First bytes of Matroska and WebM, Windows Media, MPEG program streams and GIF."""
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide")
"""Kinds of the first box in an MP4 or QuickTime file."""


@dataclass(frozen=True)
class ImageFormat:
    """One format of image files.

    Parameters
    ----------
    name : str
        For messages, with its article.
    suffixes : tuple of str
        Lower-case endings of its file names.
    is_content : callable
        Whether the first bytes of a file are those of this format.
    read : callable
        Reads a file.
    header : callable, optional
        Reads a file's header alone; None where the format has no such header.
    read_alone : callable, optional
        Reads a file and refuses anything besides header and pixels; None where that cannot be checked.
    """

    name: str
    suffixes: tuple[str, ...]
    is_content: Callable[[bytes], bool]
    read: Callable[[Path], ImageFile]
    header: Callable[[Path], ImageHeader] | None = None
    read_alone: Callable[[Path], ImageFile] | None = None


def _is_nifti(start: bytes) -> bool:
    return start.startswith((_GZIP, *_NIFTI_SIZES))


def _is_metaimage(start: bytes) -> bool:
    return b"ElementDataFile" in start and b"DimSize" in start


def _is_video(start: bytes) -> bool:
    is_avi = start.startswith(b"RIFF") and start[8:12] == b"AVI "
    is_mp4 = start[4:8] in _MP4_BOXES
    return is_avi or is_mp4 or start.startswith(_VIDEO_STARTS)


FORMATS = (
    ImageFormat(
        name="a NIfTI file",
        suffixes=nifti.SUFFIXES,
        is_content=_is_nifti,
        read=nifti.read,
        header=nifti.image_header,
        read_alone=lambda path: nifti.read(path, alone=True),
    ),
    ImageFormat(
        name="a MetaImage file",
        suffixes=metaimage.SUFFIXES,
        is_content=_is_metaimage,
        read=metaimage.read,
        header=metaimage.image_header,
    ),
    ImageFormat(
        name="a DICOM file",
        suffixes=ultrasound_dicom.SUFFIXES,
        is_content=ultrasound_dicom.is_dicom,
        read=ultrasound_dicom.read,
        header=ultrasound_dicom.image_header,
    ),
    ImageFormat(
        name="a video",
        suffixes=video.SUFFIXES,
        is_content=_is_video,
        read=video.read,
        header=video.image_header,
    ),
    ImageFormat(
        name="a picture",
        suffixes=picture.SUFFIXES,
        is_content=picture.is_picture,
        read=picture.read,
        header=picture.image_header,
    ),
)
"""Formats that `read_image` reads; gzip-compressed files are NIfTI."""


def read_image(path: Path, *, alone: bool = False) -> ImageFile:
    """Read an image file of any of `FORMATS`.

    Parameters
    ----------
    path : Path
        Content decides the format; a name that ends as another format's files do is refused.
    alone : bool
        Refuse a file that holds anything besides its header and pixels, as every uploaded file must.

    Raises
    ------
    ImageReadError
        The file is missing, truncated, damaged, of no known format, or has another format's name.
    ImageContentError
        Its shape, type or values (NaN, colour) cannot be an image of the heart.
    TooLargeError, OverloadedError
        Reading it takes more memory than the limit, or than is left now.
    """
    image_format = _format_of(path)
    if not alone:
        return image_format.read(path)
    if image_format.read_alone is None:
        raise ImageReadError(f"{path.name}: is {image_format.name}; convert it to NIfTI (.nii.gz) first")
    return image_format.read_alone(path)


def read_image_header(path: Path) -> ImageHeader:
    """Read the size of an image, and none of its pixels; errors as `read_image`.

    Raises
    ------
    ImageReadError
        Also for a format whose files state their size nowhere, as videos.
    """
    image_format = _format_of(path)
    if image_format.header is None:
        raise ImageReadError(f"{path.name}: is {image_format.name}, whose size no header states")
    return image_format.header(path)


def read_image_grid(path: Path) -> Grid:
    """Read where the voxels of an image lie; errors as `read_image_header`."""
    return read_image_header(path).grid


def _format_of(path: Path) -> ImageFormat:
    try:
        return _format(file_state(path))
    except FileNotFoundError:
        raise ImageReadError(f"{path.name}: no such file") from None
    except OSError as error:
        raise ImageReadError(f"{path.name}: cannot be read ({error.strerror})") from error


@lru_cache(maxsize=4096)
def _format(state: FileState) -> ImageFormat:
    path = Path(state[0])
    by_name = next((each for each in FORMATS if path.name.lower().endswith(each.suffixes)), None)
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    by_content = next((each for each in FORMATS if each.is_content(start)), None)
    if by_content is None:
        if by_name is None:
            endings = ", ".join(suffix for each in FORMATS for suffix in each.suffixes)
            raise ImageReadError(f"{path.name}: not an image of a known format; expected one of {endings}")
        return by_name  # its reader says what is wrong with the file
    if by_name not in (None, by_content):
        raise ImageReadError(
            f"{path.name}: is {by_content.name} by its content; rename it to end in {by_content.suffixes[0]}"
        )
    return by_content
