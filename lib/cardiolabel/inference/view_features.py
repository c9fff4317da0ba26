"""Features of a frame for the recognition of views, from the encoder of the shipped segmentation network.

Frames are reduced to `SIDE_PX` first, below the resolution of every scanner, so that sharpness and resampling
say nothing of the view.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from cardiolabel.domain import Clip
from cardiolabel.preprocessing.recipes import RECIPES

__all__ = ["RECIPE", "SIDE_PX", "network_input", "view_features"]

RECIPE = "camus"
"""Recipe by which frames become the network's input."""

SIDE_PX = 160

_FRAMES_AT_ONCE = 16
_LAST_GRID, _EARLIER_GRID = 2, 4
"""Squares per side over which the last features and those before are averaged."""


def network_input(clip: Clip) -> torch.Tensor:
    """Return the network's input ``(T, 1, S, S)`` of a clip, at the recipe's own size."""
    recipe = RECIPES[RECIPE]
    return torch.from_numpy(recipe.frames(clip, recipe.placement(clip)))


def view_features(encoder: torch.nn.Module, frames: torch.Tensor) -> NDArray[np.float32]:
    """Return the features of frames.

    Parameters
    ----------
    encoder : torch.nn.Module
        Gives a list of feature maps, the finest first.
    frames : tensor, shape (T, 1, S, S)
        As `network_input` gives them.

    Returns
    -------
    ndarray, shape (T, F)
    """
    parts = []
    with torch.inference_mode():
        for start in range(0, len(frames), _FRAMES_AT_ONCE):
            reduced = functional.interpolate(
                frames[start : start + _FRAMES_AT_ONCE],
                size=(SIDE_PX, SIDE_PX),
                mode="bilinear",
                antialias=True,
                align_corners=False,
            )
            *_, earlier, last = encoder(reduced.expand(-1, 3, -1, -1))
            pooled = (
                functional.adaptive_avg_pool2d(last, _LAST_GRID).flatten(1),
                last.amax((2, 3)),
                functional.adaptive_avg_pool2d(earlier, _EARLIER_GRID).flatten(1),
            )
            parts.append(torch.cat(pooled, dim=1))
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)
