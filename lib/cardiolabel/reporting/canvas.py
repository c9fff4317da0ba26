"""A canvas for small dark pictures: grey images, text, lines in a few colours."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cardiolabel.reporting.theme import BACKGROUND, INK

_GREYS = 32
_SHIFT = 3  # 256 grey values to as many


class Canvas:
    """Draws without matplotlib, for thousands of pictures; points are (row, col) in canvas pixels.

    Grey has 32 levels, so that a PNG of speckle stays small.

    Parameters
    ----------
    width, height : int
        In pixels.
    colors : sequence of str
        ``#rrggbb`` of all lines that will be drawn.
    """

    def __init__(self, width: int, height: int, *, colors: Sequence[str]) -> None:
        self._grey = Image.new("L", (width, height), _luminance(BACKGROUND))
        self._lines = Image.new("L", (width, height), 0)
        self._colors = {color: index for index, color in enumerate(dict.fromkeys(colors), start=1)}
        self._text, self._draw = ImageDraw.Draw(self._grey), ImageDraw.Draw(self._lines)

    def picture(self, grey: NDArray[np.uint8], at: tuple[int, int], size: tuple[int, int]) -> None:
        """Place an image ``(H, W)`` at (row, col), resized to (height, width)."""
        self._grey.paste(Image.fromarray(grey).resize(size[::-1], Image.Resampling.BILINEAR), at[::-1])

    def line(self, points: NDArray[np.float64], color: str, *, width: int = 1) -> None:
        """Draw a line through points ``(N, 2)``."""
        path = [(float(col), float(row)) for row, col in points]
        self._draw.line(path, fill=self._colors[color], width=width, joint="curve")

    def box(self, at: tuple[int, int], side: int, color: str) -> None:
        """Fill a square whose upper left corner is given."""
        row, col = at
        self._draw.rectangle((col, row, col + side - 1, row + side - 1), fill=self._colors[color])

    def text(self, text: str, at: tuple[int, int], *, size: int, right: bool = False) -> None:
        """Write one line at its upper left corner, or its upper right one."""
        anchor = "ra" if right else "la"
        self._text.text(at[::-1], text, fill=_luminance(INK), font=_font(size), anchor=anchor)

    def png(self) -> bytes:
        """Return the picture as a PNG file."""
        lines = np.asarray(self._lines)
        index = np.where(lines > 0, lines + (_GREYS - 1), np.asarray(self._grey) >> _SHIFT).astype(np.uint8)
        image = Image.fromarray(index)
        image.putpalette(self._palette())
        buffer = io.BytesIO()
        image.save(buffer, format="png", compress_level=4)
        return buffer.getvalue()

    def _palette(self) -> bytes:
        greys = [round(255 * level / (_GREYS - 1)) for level in range(_GREYS)]
        return bytes(grey for grey in greys for _ in range(3)) + b"".join(
            _rgb(color) for color in self._colors
        )


def text_width(text: str, *, size: int) -> int:
    """Return the width of a line of text in pixels, rounded up."""
    return int(-(-_font(size).getlength(text) // 1))


def shortened(text: str, width: int, *, size: int) -> str:
    """Shorten a text to one line of a width in pixels, with an ellipsis."""
    text = " ".join(text.split())
    if text_width(text, size=size) <= width:
        return text
    length = min(len(text), width)  # no letter is narrower than a pixel
    while length and text_width(text[:length] + "…", size=size) > width:
        length -= 1
    return text[:length] + "…"


def wrapped(text: str, width: int, *, size: int, lines: int) -> list[str]:
    """Wrap a text to a number of lines of a width in pixels."""
    characters = max(width // text_width("n", size=size), 1)
    rows = textwrap.wrap(text, characters, max_lines=lines, placeholder=" …", break_on_hyphens=False)
    return [shortened(line, width, size=size) for line in rows]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def _rgb(color: str) -> bytes:
    return bytes.fromhex(color.removeprefix("#"))


def _luminance(color: str) -> int:
    return round(sum(_rgb(color)) / 3)
