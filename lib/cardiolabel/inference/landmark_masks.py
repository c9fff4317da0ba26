"""Masks of the LV cavity from landmark heatmaps."""

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
    """Turn landmark logits ``(T, 7, S, S)`` into cavity masks ``(T, H, W)`` on the frames' own grid.

    A frame whose landmarks do not form an outline gets an empty mask.
    """
    points_px = place.to_frame(peak_points(torch.from_numpy(logits)).double().numpy())
    value = np.uint8(recipe.labels.value("lv_cavity"))
    cavities = [cavity_mask(points, (place.rows, place.cols)) for points in points_px]
    return np.stack([clean_mask(cavity * value, recipe.labels) for cavity in cavities])


def cavity_mask(points_px: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill the outline of seven points ``(7, 2)``; empty where points are NaN or coincide."""
    try:
        return Landmarks(points_px).mask(shape)
    except ImageContentError:
        return np.zeros(shape, dtype=np.bool_)
