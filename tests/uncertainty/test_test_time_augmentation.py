"""What is changed for the network comes back to where it was."""

from __future__ import annotations

import numpy as np
import pytest

from cardiolabel.uncertainty.test_time_augmentation import VARIATIONS, Variation

ROWS, COLS = np.mgrid[:64, :64]
MASK = ((ROWS - 28) / 14) ** 2 + ((COLS - 36) / 9) ** 2 < 1


@pytest.mark.parametrize("variation", VARIATIONS, ids=lambda each: each.name)
def test_a_mask_comes_back(variation: Variation) -> None:
    values = MASK[None, None].astype(np.float32)
    seen = variation.apply(values)
    assert seen.shape == values.shape
    back = variation.undo(seen[:, 0] > 0.5)[0]
    assert 2 * (back & MASK).sum() / (back.sum() + MASK.sum()) > 0.97


def test_only_the_first_leaves_a_frame_alone() -> None:
    frame = np.random.default_rng(0).random((1, 1, 64, 64), dtype=np.float32)
    changed = [not np.array_equal(each.apply(frame), frame) for each in VARIATIONS]
    assert changed == [False, *[True] * (len(VARIATIONS) - 1)]


@pytest.mark.parametrize("variation", VARIATIONS, ids=lambda each: each.name)
def test_scale_says_how_much_larger_the_ventricle_is_seen(variation: Variation) -> None:
    seen = variation.apply(MASK[None, None].astype(np.float32))[0, 0] > 0.5
    assert seen.sum() / MASK.sum() == pytest.approx(variation.scale**2, rel=0.03)
