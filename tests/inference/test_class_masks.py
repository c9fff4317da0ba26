"""Class logits become masks, and slices beyond the ventricle stay empty."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cardiolabel.domain import Clip, Spacing
from cardiolabel.inference.class_masks import class_masks
from cardiolabel.preprocessing.recipes import CAMUS, SAX, Recipe

SIDE = SAX.size_px


def logits(*walls_deg: float) -> torch.Tensor:
    """Slices with a round cavity, each with a wall over so many degrees around it."""
    rows, cols = np.indices((SIDE, SIDE)) - SIDE / 2
    radius, angle = np.hypot(rows, cols), np.degrees(np.arctan2(rows, cols)) % 360
    planes = []
    for wall_deg in walls_deg:
        cavity = radius < 25
        wall = ~cavity & (radius < 35) & (angle < wall_deg)
        planes.append(np.stack([~(cavity | wall), wall, cavity]))
    return torch.from_numpy(10.0 * np.stack(planes)).float()


def test_a_slice_with_less_than_half_a_wall_gets_no_mask() -> None:
    clip = Clip(np.zeros((4, SIDE, SIDE), np.uint8), Spacing(row_mm=1, col_mm=1))
    masks = class_masks(logits(360, 200, 160, 0).numpy(), SAX, SAX.placement(clip))
    assert [bool((mask == 3).any()) for mask in masks] == [True, True, False, False]
    assert not masks[2:].any()
    assert set(np.unique(masks[0])) == {0, 2, 3}


@pytest.mark.parametrize("row", [5, 20, 230, 250])
@pytest.mark.parametrize("recipe", [CAMUS, SAX], ids=lambda recipe: recipe.name)
def test_structures_in_the_padding_give_an_empty_mask(recipe: Recipe, row: int) -> None:
    clip = Clip(np.zeros((1, 60, 240), np.uint8), Spacing(row_mm=1, col_mm=1))  # its rows are the middle ones
    planes = np.zeros((1, recipe.channels, SIDE, SIDE), np.float32)
    planes[:, 0] = 1
    planes[0, 1, row : row + 4, 100:140] = 9
    assert not class_masks(planes, recipe, recipe.placement(clip)).any()


def test_structures_end_at_the_edge_of_the_frame() -> None:
    clip = Clip(np.zeros((1, 60, 240), np.uint8), Spacing(row_mm=1, col_mm=1))
    planes = np.zeros((1, 4, SIDE, SIDE), np.float32)
    planes[:, 0] = 1
    planes[0, 1, :, 100:140] = 9
    mask = class_masks(planes, CAMUS, CAMUS.placement(clip))[0]
    assert mask.shape == (60, 240)
    assert mask[0].any() and mask[-1].any() and not mask[:, :60].any()
