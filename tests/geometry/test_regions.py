"""Holes of regions, found as filling them finds them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cardiolabel.geometry.regions import background_euler, bounding_box, filled


@settings(max_examples=200)
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 12), cols=st.integers(1, 12), share=st.floats(0.2, 1))
def test_filling_and_counting_agree_with_scipy(seed: int, rows: int, cols: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((rows, cols)) < share
    outside = np.pad(~mask, 1, constant_values=True)
    background, _ = ndimage.label(outside)
    parts, _ = ndimage.label(mask, np.ones((3, 3)))
    assert background_euler(mask) == background.max() - parts.max()
    largest, count = ndimage.label(mask)
    for number in range(1, count + 1):
        region = largest == number
        assert np.array_equal(filled(region), ndimage.binary_fill_holes(region))


def test_the_box_goes_from_the_first_to_the_last_pixel() -> None:
    mask = np.zeros((9, 7), bool)
    assert bounding_box(mask) is None
    mask[2, 5] = mask[6, 1] = True
    assert bounding_box(mask) == (slice(2, 7), slice(1, 6))
    assert bounding_box(np.ones((1, 1), bool)) == (slice(0, 1), slice(0, 1))
