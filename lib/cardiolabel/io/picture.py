"""Pictures (PNG, JPEG, TIFF, BMP) as grey clips of one frame, a TIFF of several pages as a clip.

References
----------
Pillow, https://pillow.readthedocs.io/en/stable/handbook/image-file-formats.html
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from cardiolabel.domain import Clip
from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io.grid import Grid
from cardiolabel.io.image_file import ImageFile, ImageHeader
from cardiolabel.io.limits import pixel_bytes
from cardiolabel.io.luma import chroma, grey, is_colour_picture

__all__ = ["SUFFIXES", "image_header", "is_picture", "read"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM")
_NUMBERS = ("I", "F", "I;16", "I;16B", "I;16L")
"""Pillow's modes whose pixels are one number of more than 8 bits."""


_ORIENTATION, _SIDEWAYS = 274, (5, 6, 7, 8)
"""EXIF's tag for the orientation, and its values that exchange rows and columns."""


def is_picture(start: bytes) -> bool:
    """Return whether a file that begins with these bytes is a picture."""
    return start.startswith(_STARTS)


def read(path: Path) -> ImageFile:
    """Read a picture, turned upright as its EXIF data say.

    Returns
    -------
    ImageFile
        Pixels ``(T, H, W)``, uint8 or as many bits as the file has, without a pixel size: the resolution
        that pictures state is that of a screen or printer.

    Raises
    ------
    ImageReadError
        The file is missing, truncated or damaged, or no picture.
    ImageContentError
        Pages of several sizes, a colour picture, or more pixels than the limit allows.
    """
    with _opened(path) as image:
        pages = [_page(page, path.name) for page in ImageSequence.Iterator(image)]
    if len({page.shape for page in pages}) > 1:
        raise ImageContentError(f"{path.name}: its pages have several sizes; expected frames of one clip")
    clip = Clip(np.stack(pages), spacing=None)
    return ImageFile(clip, _grid(clip.shape))


def image_header(path: Path) -> ImageHeader:
    """Read the size of a picture; errors as `read`, but for damage within its pixels."""
    with _opened(path) as image:
        is_sideways = image.getexif().get(_ORIENTATION, 1) in _SIDEWAYS
        width, height = image.size[::-1] if is_sideways else image.size
        grid = _grid((getattr(image, "n_frames", 1), height, width))
        bytes_each = 4 if image.mode in _NUMBERS else 1
    needed = pixel_bytes(path.name, grid.frames_shape, bytes_each=bytes_each)
    return ImageHeader(grid, bytes_each, 4 * needed)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    if not path.is_file():
        raise ImageReadError(f"{path.name}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are checked here, and of damaged EXIF data
            with Image.open(path, formats=_FORMATS) as image:
                frames = getattr(image, "n_frames", 1)
                pixel_bytes(path.name, (frames, image.height, image.width, 3), bytes_each=1)
                yield image
    except UnidentifiedImageError as error:
        raise ImageReadError(f"{path.name}: not a readable picture; copy it again") from error
    except (OSError, SyntaxError, ValueError, TypeError, struct.error, Image.DecompressionBombError) as error:
        raise ImageReadError(f"{path.name}: damaged or no picture ({error}); copy it again") from error


def _page(page: Image.Image, name: str) -> NDArray[np.generic]:
    upright = ImageOps.exif_transpose(page)
    if upright.mode in _NUMBERS:
        return np.asarray(upright)
    if upright.mode in ("1", "L"):
        return np.asarray(upright.convert("L"))
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        opaque = Image.new("RGBA", upright.size, "black")
        opaque.alpha_composite(upright.convert("RGBA"))
        upright = opaque
    rgb = np.asarray(upright.convert("RGB"), dtype=np.uint8)
    bright = grey(rgb)
    if is_colour_picture(bright, chroma(rgb, is_ybr=False)):
        raise ImageContentError(
            f"{name}: shows colour Doppler or another colour picture; expected grey tissue"
        )
    return bright


def _grid(shape: tuple[int, ...]) -> Grid:
    frames, rows, cols = shape
    return Grid((cols, rows, frames) if frames > 1 else (cols, rows), np.zeros((4, 4)))
