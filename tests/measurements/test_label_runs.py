"""Masks as runs: nothing is lost on the way, and no runs that fit no picture are taken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from cardiolabel.errors import ImageContentError
from cardiolabel.measurements.label_runs import label_runs, painted

masks = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 3))


@given(masks)
def test_runs_give_the_mask_back(mask: NDArray[np.uint8]) -> None:
    runs = label_runs(mask)
    assert np.array_equal(painted(runs, mask.shape, {1, 2, 3}), mask)
    assert sum(runs[2::3]) == np.count_nonzero(mask)


@pytest.mark.parametrize(
    "runs",
    [
        [1, 0],
        [1, 5, 2],
        [1, -1, 2],
        [1, 0, 0],
        [1, 0, 3, 1, 2, 2],
        [1, 3, 2, 1, 0, 1],
        [4, 0, 1],
        [0, 0, 1],
        [256, 0, 1],
        [1, 2**31 - 1, 2**31 - 1],
    ],
)
def test_runs_that_fit_no_picture_are_refused(runs: list[int]) -> None:
    with pytest.raises(ImageContentError, match="painted frame"):
        painted(runs, (2, 3), {1, 2, 3})


@given(st.lists(st.integers(-5, 2**31 - 1), max_size=30))
def test_any_numbers_give_a_mask_or_a_refusal(runs: list[int]) -> None:
    try:
        mask = painted(runs, (4, 5), {1, 2, 3})
    except ImageContentError:
        return
    assert mask.shape == (4, 5) and label_runs(mask) is not None
