"""From heatmaps of landmarks to masks of the cavity that they outline."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from cardiolabel.errors import ImageContentError
from cardiolabel.geometry.landmarks import Landmarks
from cardiolabel.inference.postprocess import clean_mask
from cardiolabel.networks.landmark_heatmaps import peak_points
from cardiolabel.preprocessing.recipes import Placement, Recipe


def landmark_masks(logits: NDArray[np.float32], recipe: Recipe, place: Placement) -> NDArray[np.uint8]:
    """Masks ``(T, H, W)`` on the frames' own grid, of logits ``(T, 7, S, S)``.

    A frame whose landmarks are no outline has an empty mask.
    """
    points_px = place.to_frame(peak_points(torch.from_numpy(logits)).double().numpy())
    value = np.uint8(recipe.labels.value("lv_cavity"))
    cavities = [outlined(points, (place.rows, place.cols)) for points in points_px]
    return np.stack([clean_mask(cavity * value, recipe.labels) for cavity in cavities])


def outlined(points_px: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The cavity ``(H, W)`` of seven points ``(7, 2)``; empty where they are none or lie in one place."""
    try:
        return Landmarks(points_px).mask(shape)
    except ImageContentError:
        return np.zeros(shape, dtype=np.bool_)
