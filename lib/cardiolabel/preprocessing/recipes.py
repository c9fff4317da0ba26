"""One recipe per task: how a clip becomes network input, and how probabilities come back.

Training and inference call the same functions, so there is one meaning of input size,
normalisation and orientation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from cardiolabel.domain import (
    CAMUS_LABELS,
    LV_LABELS,
    SAX_LABELS,
    Clip,
    LabelSet,
    Spacing,
    View,
    views_of_recipe,
)
from cardiolabel.errors import ImageContentError
from cardiolabel.geometry import landmarks
from cardiolabel.preprocessing.orientation import is_upside_down
from cardiolabel.preprocessing.resample import Axis, resample

_FLOAT_BYTES = 4

_EXACT_BYTES = 2
"""Pixels of so many bytes, and their differences, are what they are in float32."""

_LARGEST = 16
"""How many sides of the input a frame may be long, where pixels have a fixed size."""


class Output(StrEnum):
    """What a network gives for a frame."""

    CLASSES = "classes"
    """Background and one class per structure of the label set."""
    LANDMARKS = "landmarks"
    """A heatmap for each point of `cardiolabel.geometry.landmarks.NAMES`."""


@dataclass(frozen=True)
class Placement:
    """Where a frame ``(rows, cols)`` lies within the square network input.

    ``inner_rows`` x ``inner_cols`` input pixels starting at ``(top, left)``, which is negative where the
    input shows only the frame's middle; ``flipped`` where the frame was turned upside down first.
    """

    rows: int
    cols: int
    inner_rows: int
    inner_cols: int
    top: int
    left: int
    flipped: bool

    def to_input(self, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points ``(..., 2)``, (row, col) in pixels of the frame, in pixels of the input.

        The centre of the first pixel is (0, 0) on both grids.
        """
        rows, cols = points_px[..., 0], points_px[..., 1]
        rows = self.rows - 1 - rows if self.flipped else rows
        inner = np.stack([(rows + 0.5) * self._row_scale, (cols + 0.5) * self._col_scale], axis=-1)
        return np.asarray(inner - 0.5 + (self.top, self.left))

    def to_frame(self, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """The reverse of `to_input`."""
        inner = points_px - (self.top, self.left) + 0.5
        rows, cols = inner[..., 0] / self._row_scale - 0.5, inner[..., 1] / self._col_scale - 0.5
        return np.stack([self.rows - 1 - rows if self.flipped else rows, cols], axis=-1)

    @property
    def _row_scale(self) -> float:
        return self.inner_rows / self.rows

    @property
    def _col_scale(self) -> float:
        return self.inner_cols / self.cols


@dataclass(frozen=True)
class Recipe:
    """Geometry and grey values of one task's network input.

    ``size_px``: side of the square input. Without ``pixel_mm`` the whole frame is fitted into it with
    its physical aspect ratio and padded with zeros, so the network sees neither stretched anatomy nor
    absolute size. With ``pixel_mm`` an input pixel has that size and the frame's middle is cut out, or
    padded; a frame without calibration is fitted. ``sector``: frames are ultrasound sectors, which are
    turned upright. ``views``: those it is for. ``output``: what the network gives; its class ``n`` is
    the label set's ``n``-th structure, 0 is background. ``least_wall``: share of the cavity's edge that
    myocardium must cover, else the plane lies beyond the ventricle and stays empty.
    """

    name: str
    size_px: int
    labels: LabelSet
    views: frozenset[View]
    pixel_mm: float | None = None
    sector: bool = True
    output: Output = Output.CLASSES
    least_wall: float = 0.0

    def sized(self, size_px: int | None) -> Recipe:
        """The same recipe with another side of its input; None keeps its own."""
        return replace(self, size_px=size_px or self.size_px)

    @property
    def values(self) -> tuple[int, ...]:
        """Mask value of each of the network's classes."""
        return 0, *(value for _, value in self.labels.values)

    @property
    def channels(self) -> int:
        """Number of the network's outputs."""
        return {Output.CLASSES: len(self.values), Output.LANDMARKS: len(landmarks.NAMES)}[self.output]

    def placement(self, clip: Clip) -> Placement:
        """Fit the clip's frames into the input, keeping the physical aspect ratio.

        Raises
        ------
        ImageContentError
            The frames are metres wide by the file's pixel size.
        """
        _, rows, cols = clip.shape
        inner_rows, inner_cols = self._fitted_size(rows, cols, clip.spacing)
        middle = clip.pixels[clip.shape[0] // 2]
        return Placement(
            rows, cols, inner_rows, inner_cols,
            (self.size_px - inner_rows) // 2, (self.size_px - inner_cols) // 2,
            self.sector and is_upside_down(middle),
        )  # fmt: skip

    def input_bytes(self, shape: tuple[int, int, int], spacing: Spacing | None) -> int:
        """Memory that `frames` of a clip of this shape ``(T, H, W)`` takes at most; errors as `placement`."""
        inner_rows, inner_cols = self._fitted_size(shape[1], shape[2], spacing)
        fitted, padded = inner_rows * inner_cols, self.size_px**2
        return shape[0] * _FLOAT_BYTES * (fitted + max(fitted, padded))

    def _fitted_size(self, rows: int, cols: int, spacing: Spacing | None) -> tuple[int, int]:
        row_mm, col_mm = (spacing.row_mm, spacing.col_mm) if spacing else (1.0, 1.0)
        if self.pixel_mm and spacing:
            scale = 1 / self.pixel_mm
        else:
            scale = self.size_px / max(rows * row_mm, cols * col_mm)
        inner_rows = max(1, round(rows * row_mm * scale))
        inner_cols = max(1, round(cols * col_mm * scale))
        if max(inner_rows, inner_cols) > _LARGEST * self.size_px:
            raise ImageContentError(
                f"pixels of {row_mm:g} x {col_mm:g} mm make a frame of {rows * row_mm:.0f} x "
                f"{cols * col_mm:.0f} mm: check the unit and the pixel size of the file"
            )
        return inner_rows, inner_cols

    def frames(self, clip: Clip, place: Placement) -> NDArray[np.float32]:
        """Network input ``(T, 1, size, size)``; grey values per clip in 0..1.

        The clip's own minimum maps to 0 and its 99.5th percentile to 1, above which values are
        kept, so a bright annotation cannot darken the tissue.
        """
        floor = float(clip.pixels.min())  # subtracted first: large offsets do not fit float32
        fitted = torch.empty(len(clip.pixels), 1, place.inner_rows, place.inner_cols)
        exact = np.float32 if clip.pixels.dtype.itemsize <= _EXACT_BYTES else np.float64
        for index, frame in enumerate(clip.pixels):  # one by one: a long cine is large in float
            above = torch.from_numpy((frame.astype(exact) - exact(floor)).astype(np.float32, copy=False))
            above = above[None, None]
            upright = above.flip(2) if place.flipped else above
            fitted[index] = _resize(upright, place.inner_rows, place.inner_cols)[0]
        low = float(fitted.min())
        high = _percentile(fitted.numpy(), 99.5)
        # Almost black frames have their 99.5th percentile at the minimum.
        span = (high - low) or (float(fitted.max()) - low) or 1.0
        fitted.sub_(low).div_(span)  # in place: it is large
        return _pad(fitted, place, self.size_px).numpy()

    def masks(self, masks: NDArray[np.uint8], place: Placement) -> NDArray[np.uint8]:
        """Classes ``(T, size, size)`` of reference masks ``(T, H, W)``; unknown values are background."""
        structures = [masks == value for value in self.values[1:]]
        planes = np.stack([~np.any(structures, axis=0), *structures], axis=1)
        tensor = torch.from_numpy(planes.astype(np.float32))
        if place.flipped:
            tensor = tensor.flip(2)
        fitted = _resize(tensor, place.inner_rows, place.inner_cols).argmax(1, keepdim=True)
        return _pad(fitted, place, self.size_px)[:, 0].numpy().astype(np.uint8)

    def restore(
        self, probabilities: torch.Tensor, place: Placement, box: tuple[slice, slice]
    ) -> torch.Tensor:
        """Probabilities ``(..., size, size)`` on a box ``(..., h, w)`` of the frame's own grid."""
        rows = Axis.of(
            box[0], size=place.rows, inner=place.inner_rows, at=place.top, side=self.size_px,
            reverse=place.flipped,
        )  # fmt: skip
        cols = Axis.of(
            box[1], size=place.cols, inner=place.inner_cols, at=place.left, side=self.size_px, reverse=False
        )
        return resample(probabilities, rows, cols)


def _percentile(values: NDArray[np.float32], percent: float) -> float:
    """As `numpy.percentile`, in a third of its time.

    >>> _percentile(np.arange(5, dtype=np.float32), 30)
    1.2
    """
    place = percent / 100 * (values.size - 1)
    low = int(place)
    high = min(low + 1, values.size - 1)
    ordered = np.partition(values, (low, high), axis=None)
    return float(ordered[low]) + (place - low) * (float(ordered[high]) - float(ordered[low]))


def _resize(planes: torch.Tensor, rows: int, cols: int) -> torch.Tensor:
    return functional.interpolate(
        planes, size=(rows, cols), mode="bilinear", align_corners=False, antialias=True
    )


def _pad(planes: torch.Tensor, place: Placement, size: int) -> torch.Tensor:
    return functional.pad(planes, _edges(place, size))


def _edges(place: Placement, size: int) -> list[int]:
    """What is added left, right, above and below a fitted frame; negative where it is cut."""
    right, bottom = size - place.left - place.inner_cols, size - place.top - place.inner_rows
    return [place.left, right, place.top, bottom]


CAMUS = Recipe("camus", size_px=256, labels=CAMUS_LABELS, views=views_of_recipe("camus"))
"""Apical echo: LV cavity, myocardium, left atrium in A2C and A4C."""

SAX = Recipe(
    "sax",
    size_px=256,
    labels=SAX_LABELS,
    views=views_of_recipe("sax"),
    pixel_mm=1.0,
    sector=False,
    least_wall=0.5,
)
"""Short-axis MR: LV cavity and myocardium; 26 cm around the middle of the picture.

A slice belongs to the ventricle where myocardium surrounds at least half of the blood: Schulz-Menger et al.
2020, doi 10.1186/s12968-020-00610-6.
"""

LV = replace(CAMUS, name="lv", labels=LV_LABELS, views=views_of_recipe("lv"))
"""Apical echo: the LV cavity alone, as EchoNet has it."""

LANDMARKS = replace(
    CAMUS, name="landmarks", labels=LV_LABELS, views=views_of_recipe("landmarks"), output=Output.LANDMARKS
)
"""Apical echo: the LV cavity by its seven landmarks, seen as `CAMUS` sees it."""

RECIPES = {recipe.name: recipe for recipe in (CAMUS, SAX, LV, LANDMARKS)}
"""By the name that a model card gives."""
