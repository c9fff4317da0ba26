"""Picture of an image with its contours at the frames that matter, and their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

from cardiolabel.domain import Clip, Phase, Spacing
from cardiolabel.measurements.records import FrameRow, MaskedImage, Study
from cardiolabel.reporting.canvas import Canvas, shortened, text_width, wrapped
from cardiolabel.reporting.theme import INK, STRUCTURE_COLORS

OVERLAYS = "overlays"
"""Folder of the pictures, beside the tables."""

MOST_SLICES = 16

_EDGE_PX = {1: 430, 2: 330}
_TILE_PX, _GAP_PX = 130, 6
_HEAD_PX, _FOOT_PX = 24, 20
_HEAD_SIZE, _TEXT_SIZE, _TILE_TEXT_SIZE = 13, 11, 9
_AROUND = 0.5
_LEVELS = (0.5, 99.5)

_Window = tuple[int, int, int, int]


@dataclass(frozen=True)
class _Layout:
    """Places of the panels in pixels of the picture."""

    cols: int
    rows: int
    panel: tuple[int, int]
    caption_lines: int
    text_size: int

    @property
    def line(self) -> int:
        return self.text_size + 4

    @property
    def cell(self) -> tuple[int, int]:
        return self.panel[0] + self.caption_lines * self.line + _GAP_PX, self.panel[1] + _GAP_PX

    def corner(self, index: int) -> tuple[int, int]:
        row, col = divmod(index, self.cols)
        return _HEAD_PX + row * self.cell[0], _GAP_PX + col * self.cell[1]


@dataclass(frozen=True)
class _Place:
    """Place of a part of an image on the canvas: corner, size, and size of the image's pixels."""

    window: _Window
    at: tuple[int, int]
    size: tuple[int, int]

    @classmethod
    def within(
        cls, panel: tuple[int, int], corner: tuple[int, int], window: _Window, *, spacing: Spacing | None
    ) -> _Place:
        """Fit a part of an image into a panel, centred."""
        extent = _extent_mm(window, spacing)
        scale = min(edge / length for edge, length in zip(panel, extent, strict=True))
        high, wide = (max(round(scale * length), 1) for length in extent)
        return cls(
            window, (corner[0] + (panel[0] - high) // 2, corner[1] + (panel[1] - wide) // 2), (high, wide)
        )

    @property
    def crop(self) -> tuple[slice, slice]:
        top, bottom, left, right = self.window
        return slice(top, bottom), slice(left, right)

    def points(self, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert points (N, 2) from image pixels to canvas pixels."""
        top, bottom, left, right = self.window
        scale = np.divide(self.size, (bottom - top, right - left))
        points: NDArray[np.float64] = (points_px + 0.5 - (top, left)) * scale + self.at
        return points


def overlay_png(clip: Clip, image: MaskedImage, study: Study) -> bytes:
    """Draw an image and its masks as PNG: a still, ED and ES of a cine, or slices of a stack.

    Parameters
    ----------
    clip : Clip
        The image's frames (T, H, W), as many as its masks.
    image : MaskedImage
        With masks (T, H, W).
    study : Study
        The patient's, which ``image`` is one of.

    Returns
    -------
    bytes
        A PNG file. Pixels are square in mm; stacks are cropped around what was found in them.

    Raises
    ------
    ValueError
        The clip and the masks differ in shape.
    """
    if clip.pixels.shape != image.masks.shape:
        raise ValueError(f"{image.image_id}: clip {clip.pixels.shape}, masks {image.masks.shape}")
    titles = shown_frames(image, study)
    rows = {row.frame: row for row in study.frames if row.image_id == image.image_id}
    shown = list(titles)
    window = _window(image.masks) if image.view.is_stack else (0, clip.shape[1], 0, clip.shape[2])
    layout = _layout(len(shown), _extent_mm(window, clip.spacing), stack=image.view.is_stack)
    names = [name for name, value in image.labels.values if (image.masks[shown] == value).any()]
    height = _HEAD_PX + layout.rows * layout.cell[0] + _FOOT_PX
    width = layout.cols * layout.cell[1] + _GAP_PX
    canvas = Canvas(width, height, colors=[*map(_color, names), INK])
    _head(canvas, image, width)
    grey = _grey(clip.pixels[shown])
    for index, frame in enumerate(shown):
        corner = layout.corner(index)
        place = _Place.within(layout.panel, corner, window, spacing=clip.spacing)
        canvas.picture(grey[index][place.crop], place.at, place.size)
        _contours(canvas, image, image.masks[frame], place)
        _long_axis(canvas, rows[frame], place)
        _caption(canvas, f"{titles[frame]}: {_numbers(rows[frame])}", corner, layout)
    _legend(canvas, names, (height - _FOOT_PX + 3, _GAP_PX))
    return canvas.png()


def shown_frames(image: MaskedImage, study: Study) -> Mapping[int, str]:
    """Choose the frames to show, with their captions, in order.

    Of a stack at most 16 slices, evenly spaced; of a cine ED and ES of its first beat, or without a beat its
    largest and smallest cavity; else the first frame. Frames count from 0, as in ``frames.csv``.
    """
    count = len(image.masks)
    if image.view.is_stack:
        slices = np.unique(np.linspace(0, count - 1, min(count, MOST_SLICES)).round().astype(int))
        return {int(index): f"slice {index}" for index in slices}
    if count == 1:
        return {0: "still" if image.phase is Phase.CINE else str(image.phase)}
    if beats := study.beats.get(image.image_id):
        first = beats[0]
        return {first.ed: f"ED, frame {first.ed}", first.es: f"ES, frame {first.es}"}
    pixels = (image.masks == image.labels.value("lv_cavity")).sum(axis=(1, 2))
    if not pixels.any():
        return {0: "frame 0"}
    filled = np.flatnonzero(pixels)
    largest, smallest = (int(filled[pick(pixels[filled])]) for pick in (np.argmax, np.argmin))
    frames = {largest: f"largest cavity, frame {largest}"}
    frames.setdefault(smallest, f"smallest cavity, frame {smallest}")
    return frames


def _numbers(row: FrameRow) -> str:
    if row.lv_area_mm2 is None:
        return row.reason
    length = "" if row.lv_length_mm is None else f", length {row.lv_length_mm:.0f} mm"
    return f"LV {row.lv_area_mm2:.0f} mm²{length}"


def _layout(count: int, extent_mm: tuple[float, float], *, stack: bool) -> _Layout:
    cols = int(np.ceil(np.sqrt(count))) if stack else count
    edge = _TILE_PX if stack else _EDGE_PX[count]
    scale = edge / max(extent_mm)
    high, wide = (max(round(scale * length), edge // 2) for length in extent_mm)
    return _Layout(cols, -(-count // cols), (high, wide), 2, _TILE_TEXT_SIZE if stack else _TEXT_SIZE)


def _extent_mm(window: _Window, spacing: Spacing | None) -> tuple[float, float]:
    """Return the height and width in mm; without a pixel size, in pixels."""
    top, bottom, left, right = window
    row_mm, col_mm = (spacing.row_mm, spacing.col_mm) if spacing else (1.0, 1.0)
    return (bottom - top) * row_mm, (right - left) * col_mm


def _window(masks: NDArray[np.uint8]) -> _Window:
    """Return the rows and columns that hold a structure in any slice, with a margin of half their size."""
    bounds: list[int] = []
    for axis in (1, 0):
        length = masks.shape[2 - axis]
        filled = np.flatnonzero(masks.any(axis=(0, axis + 1)))
        low, high = (int(filled[0]), int(filled[-1]) + 1) if filled.size else (0, length)
        margin = round(_AROUND * (high - low))
        bounds += [max(low - margin, 0), min(high + margin, length)]
    top, bottom, left, right = bounds
    return top, bottom, left, right


def _grey(frames: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Convert frames (N, H, W) to 256 grey values: 8 bits unchanged, others between two percentiles."""
    if frames.dtype == np.uint8:
        return frames.astype(np.uint8, copy=False)
    values = frames.astype(np.float32)
    low, high = np.percentile(values[:, ::2, ::2], _LEVELS)
    scaled = (values - low) * (255 / max(high - low, 1e-6))
    grey: NDArray[np.uint8] = np.clip(scaled, 0, 255).astype(np.uint8)
    return grey


def _contours(canvas: Canvas, image: MaskedImage, mask: NDArray[np.uint8], place: _Place) -> None:
    """Draw the contours, the cavity last, so that shared borders have its colour."""
    for name, value in sorted(image.labels.values, key=lambda pair: pair[0] == "lv_cavity"):
        rows, cols = (np.flatnonzero((mask == value).any(axis=axis)) for axis in (1, 0))
        if rows.size:
            part = mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1] == value
            for contour in find_contours(np.pad(part, 1).astype(np.float32), 0.5):
                canvas.line(place.points(contour - 1 + (rows[0], cols[0])), _color(name), width=2)


def _long_axis(canvas: Canvas, row: FrameRow, place: _Place) -> None:
    if row.geometry is not None:
        annulus, apex = row.geometry.annulus_px, row.geometry.apex_px
        for line in (annulus, np.stack([annulus.mean(axis=0), apex])):
            canvas.line(place.points(line), INK)


def _head(canvas: Canvas, image: MaskedImage, width: int) -> None:
    kind = f"{image.view} {image.phase}"
    room = width - 3 * _GAP_PX - text_width(kind, size=_HEAD_SIZE)
    canvas.text(shortened(image.image_id, room, size=_HEAD_SIZE), (4, _GAP_PX), size=_HEAD_SIZE)
    canvas.text(kind, (4, width - _GAP_PX), size=_HEAD_SIZE, right=True)


def _caption(canvas: Canvas, text: str, corner: tuple[int, int], layout: _Layout) -> None:
    lines = wrapped(text, layout.panel[1], size=layout.text_size, lines=layout.caption_lines)
    for number, line in enumerate(lines):
        top = corner[0] + layout.panel[0] + 2 + number * layout.line
        canvas.text(line, (top, corner[1]), size=layout.text_size)


def _legend(canvas: Canvas, names: Sequence[str], at: tuple[int, int]) -> None:
    row, col = at
    for name in names:
        words = name.replace("_", " ").replace("lv ", "LV ")
        canvas.box((row + 2, col), 9, _color(name))
        canvas.text(words, (row, col + 13), size=_TEXT_SIZE)
        col += 13 + text_width(words, size=_TEXT_SIZE) + 12


def _color(structure: str) -> str:
    return STRUCTURE_COLORS.get(structure, INK)
