"""Post-processing leaves one component per structure, without holes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardiolabel.domain import CAMUS_LABELS, LabelSet
from cardiolabel.inference.postprocess import clean_mask


def heart() -> np.ndarray:
    mask = np.zeros((30, 24), np.uint8)
    mask[4:18, 4:20] = 2
    mask[7:18, 7:17] = 1
    mask[18:25, 7:17] = 3
    return mask


def test_a_clean_mask_stays_unchanged() -> None:
    mask = heart()
    cleaned = clean_mask(mask, CAMUS_LABELS)
    assert np.array_equal(cleaned, mask)
    assert cleaned is not mask


@pytest.mark.parametrize("value", [1, 2, 3])
def test_small_components_are_removed(value: int) -> None:
    mask = heart()
    mask[0, 0:2] = value
    mask[29, 23] = value
    assert np.array_equal(clean_mask(mask, CAMUS_LABELS), heart())


@pytest.mark.parametrize("value", [0, 2, 3])
def test_holes_of_the_cavity_are_filled(value: int) -> None:
    mask = heart()
    mask[10:13, 10:13] = value
    assert np.array_equal(clean_mask(mask, CAMUS_LABELS), heart())


def test_background_enclosed_by_cavity_and_wall_becomes_wall() -> None:
    mask = heart()
    mask[5, 5] = 0
    mask[9:12, 6] = 0  # between cavity and wall
    assert np.array_equal(clean_mask(mask, CAMUS_LABELS), heart())
    open_mask = heart()
    open_mask[10, 4:8] = 0  # reaches the outside
    assert (clean_mask(open_mask, CAMUS_LABELS)[10, 4:7] == 0).all()


def test_the_cavity_is_no_hole_of_the_wall() -> None:
    ring = np.zeros((20, 20), np.uint8)
    ring[3:17, 3:17] = 2
    ring[6:14, 6:14] = 1
    assert np.array_equal(clean_mask(ring, CAMUS_LABELS), ring)


def test_the_larger_component_stays_and_the_input_is_unchanged() -> None:
    mask = np.zeros((10, 20), np.uint8)
    mask[1:4, 1:4] = 1
    mask[1:6, 8:18] = 1
    before = mask.copy()
    cleaned = clean_mask(mask, CAMUS_LABELS)
    assert cleaned.sum() == 50 and cleaned[2, 2] == 0
    assert np.array_equal(mask, before)


@pytest.mark.parametrize(
    "mask", [np.zeros((5, 5), np.uint8), np.ones((1, 1), np.uint8), np.full((4, 6), 1, np.uint8)]
)
def test_empty_and_full_masks_stay_unchanged(mask: np.ndarray) -> None:
    assert np.array_equal(clean_mask(mask, CAMUS_LABELS), mask)


def test_values_outside_the_label_set_are_removed() -> None:
    mask = heart()
    mask[0] = 9
    assert set(np.unique(clean_mask(mask, CAMUS_LABELS))) == {0, 1, 2, 3}
    only_cavity = LabelSet("lv", (("lv_cavity", 1),))
    assert set(np.unique(clean_mask(heart(), only_cavity))) == {0, 1}


@settings(max_examples=40)
@given(seed=st.integers(0, 9999), rows=st.integers(1, 15), cols=st.integers(1, 15))
def test_cleaning_twice_is_cleaning_once(seed: int, rows: int, cols: int) -> None:
    mask = np.random.default_rng(seed).integers(0, 4, size=(rows, cols)).astype(np.uint8)
    once = clean_mask(mask, CAMUS_LABELS)
    lv = once == 1
    assert np.array_equal(clean_mask(once, CAMUS_LABELS) == 1, lv)
    assert lv.any() == (mask == 1).any()
