"""Preprocessing recipes: how a clip becomes network input, and how probabilities return to its grid.

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
"""Integers of up to this many bytes, and their differences, are exact in float32."""

_LARGEST = 16
"""Longest frame side, in multiples of the input side, for recipes of fixed pixel size; longer means a wrong
pixel size in the file."""


class Output(StrEnum):
    """Kind of a network's output."""

    CLASSES = "classes"
    """Background and one class per structure of the label set."""
    LANDMARKS = "landmarks"
    """A heatmap for each point of `cardiolabel.geometry.landmarks.NAMES`."""


@dataclass(frozen=True)
class Placement:
    """Position of a frame ``(rows, cols)`` within the square network input.

    The frame fills ``inner_rows`` x ``inner_cols`` input pixels from ``(top, left)`` on. A negative corner
    means that the input shows only the middle of the frame. ``flipped`` frames are turned upside down first.
    """

    rows: int
    cols: int
    inner_rows: int
    inner_cols: int
    top: int
    left: int
    flipped: bool

    def to_input(self, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert points ``(..., 2)``, (row, col), from frame pixels to input pixels.

        On both grids (0, 0) is the centre of the first pixel.
        """
        rows, cols = points_px[..., 0], points_px[..., 1]
        rows = self.rows - 1 - rows if self.flipped else rows
        inner = np.stack([(rows + 0.5) * self._row_scale, (cols + 0.5) * self._col_scale], axis=-1)
        return np.asarray(inner - 0.5 + (self.top, self.left))

    def to_frame(self, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert points ``(..., 2)``, (row, col), from input pixels to frame pixels."""
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
    """Geometry and grey values of a network's input.

    Parameters
    ----------
    name : str
        As model cards name it.
    size_px : int
        Side of the square input.
    labels : LabelSet
        Structures to segment; class ``n`` of the network is the set's ``n``-th structure, 0 is background.
    views : frozenset of View
        Views that the recipe's models segment.
    pixel_mm : float or None
        Fixed size of an input pixel: the middle of the frame is cropped or padded. Without it, or for frames
        without calibration, the whole frame is fitted with its physical aspect ratio and padded with zeros.
    sector : bool
        Whether frames are ultrasound sectors, which are turned upright.
    output : Output
        Kind of the network's output.
    least_wall : float
        Share of the cavity's edge that myocardium must cover; with less, the slice lies beyond the ventricle
        and its mask stays empty.
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
        """Copy the recipe with another input side; None keeps its own."""
        return replace(self, size_px=size_px or self.size_px)

    @property
    def values(self) -> tuple[int, ...]:
        """Mask value of each class of the network."""
        return 0, *(value for _, value in self.labels.values)

    @property
    def channels(self) -> int:
        """Number of output channels of the network."""
        return {Output.CLASSES: len(self.values), Output.LANDMARKS: len(landmarks.NAMES)}[self.output]

    def placement(self, clip: Clip) -> Placement:
        """Place the clip's frames in the input, keeping their physical aspect ratio.

        Raises
        ------
        ImageContentError
            By the file's pixel size, the frames would be metres wide.
        """
        _, rows, cols = clip.shape
        inner_rows, inner_cols = self._fitted_size(rows, cols, clip.spacing)
        middle = clip.pixels[clip.shape[0] // 2]
        return Placement(
            rows,
            cols,
            inner_rows,
            inner_cols,
            top=(self.size_px - inner_rows) // 2,
            left=(self.size_px - inner_cols) // 2,
            flipped=self.sector and is_upside_down(middle),
        )

    def input_bytes(self, shape: tuple[int, int, int], spacing: Spacing | None) -> int:
        """Give the peak memory of `frames` for a clip of shape ``(T, H, W)``; raises like `placement`."""
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
        """Make the network input ``(T, 1, size, size)`` with grey values normalised per clip.

        The clip's minimum maps to 0 and its 99.5th percentile to 1. Brighter pixels stay above 1, so that a
        bright annotation does not darken the tissue.
        """
        floor = float(clip.pixels.min())  # subtracted before the cast: float32 cannot hold large offsets
        fitted = torch.empty(len(clip.pixels), 1, place.inner_rows, place.inner_cols)
        exact = np.float32 if clip.pixels.dtype.itemsize <= _EXACT_BYTES else np.float64
        for index, frame in enumerate(clip.pixels):  # one by one: a long cine in float is large
            above = torch.from_numpy((frame.astype(exact) - exact(floor)).astype(np.float32, copy=False))
            above = above[None, None]
            upright = above.flip(2) if place.flipped else above
            fitted[index] = _resize(upright, place.inner_rows, place.inner_cols)[0]
        low = float(fitted.min())
        high = _percentile(fitted.numpy(), 99.5)
        # In almost black frames the 99.5th percentile equals the minimum.
        span = (high - low) or (float(fitted.max()) - low) or 1.0
        fitted.sub_(low).div_(span)  # in place, to save memory
        return _pad(fitted, place, self.size_px).numpy()

    def masks(self, masks: NDArray[np.uint8], place: Placement) -> NDArray[np.uint8]:
        """Convert reference masks ``(T, H, W)`` to classes ``(T, size, size)``; others are background."""
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
        """Resample probabilities ``(..., size, size)`` onto a box ``(..., h, w)`` of the frame's own grid."""
        rows = Axis.of(
            box[0],
            size=place.rows,
            inner=place.inner_rows,
            at=place.top,
            side=self.size_px,
            reverse=place.flipped,
        )
        cols = Axis.of(
            box[1], size=place.cols, inner=place.inner_cols, at=place.left, side=self.size_px, reverse=False
        )
        return resample(probabilities, rows, cols)


def _percentile(values: NDArray[np.float32], percent: float) -> float:
    """Compute the same as `numpy.percentile` in a third of the time.


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
    """Return the padding left, right, above and below a fitted frame; negative where it is cropped."""
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
"""Short-axis MR: LV cavity and myocardium; the central 26 cm of the image.

A basal slice belongs to the ventricle if myocardium surrounds at least half of the blood pool:
Schulz-Menger et al. 2020, doi 10.1186/s12968-020-00610-6.
"""

LV = replace(CAMUS, name="lv", labels=LV_LABELS, views=views_of_recipe("lv"))
"""Apical echo: the LV cavity alone, as EchoNet has it."""

LANDMARKS = replace(
    CAMUS, name="landmarks", labels=LV_LABELS, views=views_of_recipe("landmarks"), output=Output.LANDMARKS
)
"""Apical echo: the LV cavity outlined by seven landmarks, with the input of `CAMUS`."""

RECIPES = {recipe.name: recipe for recipe in (CAMUS, SAX, LV, LANDMARKS)}
"""Recipes by the name on a model card."""
