"""One recipe per task: how a clip becomes network input, and how probabilities come back.

Training and inference call the same functions, so there is one meaning of input size,
normalisation and orientation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from cardiolabel.domain import CAMUS_LABELS, Clip, LabelSet
from cardiolabel.preprocessing.orientation import is_upside_down


@dataclass(frozen=True)
class Placement:
    """Where a frame ``(rows, cols)`` lies within the square network input.

    ``inner_rows`` x ``inner_cols`` input pixels starting at ``(top, left)``; ``flipped`` where the
    frame was turned upside down first.
    """

    rows: int
    cols: int
    inner_rows: int
    inner_cols: int
    top: int
    left: int
    flipped: bool


@dataclass(frozen=True)
class Recipe:
    """Geometry and grey values of one task's network input.

    ``size_px``: side of the square input; the frame is fitted into it with its physical aspect
    ratio and padded with zeros, so the network sees neither stretched anatomy nor absolute size.
    """

    name: str
    size_px: int
    labels: LabelSet

    def placement(self, clip: Clip) -> Placement:
        """Fit the clip's frames into the input, keeping the physical aspect ratio."""
        _, rows, cols = clip.shape
        row_mm, col_mm = (clip.spacing.row_mm, clip.spacing.col_mm) if clip.spacing else (1.0, 1.0)
        scale = self.size_px / max(rows * row_mm, cols * col_mm)
        inner_rows = max(1, min(self.size_px, round(rows * row_mm * scale)))
        inner_cols = max(1, min(self.size_px, round(cols * col_mm * scale)))
        middle = clip.pixels[clip.shape[0] // 2]
        return Placement(
            rows, cols, inner_rows, inner_cols,
            (self.size_px - inner_rows) // 2, (self.size_px - inner_cols) // 2,
            is_upside_down(middle),
        )  # fmt: skip

    def frames(self, clip: Clip, place: Placement) -> NDArray[np.float32]:
        """Network input ``(T, 1, size, size)``; grey values per clip in 0..1.

        The clip's own minimum maps to 0 and its 99.5th percentile to 1, above which values are
        kept, so a bright annotation cannot darken the tissue.
        """
        floor = float(clip.pixels.min())  # subtracted first: large offsets do not fit float32
        fitted = torch.empty(len(clip.pixels), 1, place.inner_rows, place.inner_cols)
        for index, frame in enumerate(clip.pixels):  # one by one: a long cine is large in float
            above = torch.from_numpy((frame.astype(np.float64) - floor).astype(np.float32))[None, None]
            upright = above.flip(2) if place.flipped else above
            fitted[index] = _resize(upright, place.inner_rows, place.inner_cols)[0]
        low = float(fitted.min())
        high = float(np.percentile(fitted.numpy(), 99.5))
        # Almost black frames have their 99.5th percentile at the minimum.
        fitted = (fitted - low) / ((high - low) or (float(fitted.max()) - low) or 1.0)
        return _pad(fitted, place, self.size_px).numpy()

    def masks(self, masks: NDArray[np.uint8], place: Placement) -> NDArray[np.uint8]:
        """Reference masks ``(T, H, W)`` on the network's grid, ``(T, size, size)``."""
        planes = np.stack([masks == value for value in range(1 + len(self.labels.values))], axis=1)
        tensor = torch.from_numpy(planes.astype(np.float32))
        if place.flipped:
            tensor = tensor.flip(2)
        fitted = _resize(tensor, place.inner_rows, place.inner_cols).argmax(1, keepdim=True)
        return _pad(fitted, place, self.size_px)[:, 0].numpy().astype(np.uint8)

    def restore(self, probabilities: torch.Tensor, place: Placement) -> torch.Tensor:
        """Probabilities ``(T, C, size, size)`` on the frame's own grid ``(T, C, H, W)``."""
        inner = probabilities[
            :, :, place.top : place.top + place.inner_rows, place.left : place.left + place.inner_cols
        ]
        native = functional.interpolate(
            inner, size=(place.rows, place.cols), mode="bilinear", align_corners=False
        )
        return native.flip(2) if place.flipped else native


def _resize(planes: torch.Tensor, rows: int, cols: int) -> torch.Tensor:
    return functional.interpolate(
        planes, size=(rows, cols), mode="bilinear", align_corners=False, antialias=True
    )


def _pad(planes: torch.Tensor, place: Placement, size: int) -> torch.Tensor:
    right, bottom = size - place.left - place.inner_cols, size - place.top - place.inner_rows
    return functional.pad(planes, (place.left, right, place.top, bottom))


CAMUS = Recipe("camus", size_px=256, labels=CAMUS_LABELS)
"""Apical echo: LV cavity, myocardium, left atrium in A2C and A4C."""

RECIPES = {CAMUS.name: CAMUS}
