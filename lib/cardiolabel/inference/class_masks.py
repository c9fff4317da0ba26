"""From the logits of classes to clean masks."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from cardiolabel.inference.postprocess import clean_mask, wall_share
from cardiolabel.preprocessing.recipes import Placement, Recipe


def class_masks(logits: torch.Tensor, recipe: Recipe, place: Placement) -> NDArray[np.uint8]:
    """Masks ``(T, H, W)`` on the frames' own grid: the likeliest classes by logits ``(T, C, S, S)``."""
    classes = recipe.restore(logits.softmax(1), place).argmax(1).to(torch.uint8).cpu().numpy()
    masks = np.array(recipe.values, dtype=np.uint8)[classes]
    clean = np.stack([clean_mask(mask, recipe.labels) for mask in masks])
    if recipe.least_wall:
        clean[[wall_share(mask, recipe.labels) < recipe.least_wall for mask in clean]] = 0
    return clean
