"""Resampling part of an image equals cutting that part out of the whole resampled image."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from cardiolabel.preprocessing.resample import Axis, resample


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 999),
    side=st.integers(4, 24),
    rows=st.integers(1, 50),
    cols=st.integers(1, 50),
    inner=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    at=st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
    cut=st.tuples(*[st.floats(0, 1)] * 4),
    reverse=st.booleans(),
)
def test_a_part_equals_that_part_of_the_whole_resampled_image(
    seed: int,
    side: int,
    rows: int,
    cols: int,
    inner: tuple[int, int],
    at: tuple[int, int],
    cut: tuple[float, ...],
    reverse: bool,
) -> None:
    planes = torch.rand(3, side, side, generator=torch.Generator().manual_seed(seed))
    edges = [-at[1], at[1] + inner[1] - side, -at[0], at[0] + inner[0] - side]
    if at[0] >= side or at[1] >= side or at[0] + inner[0] <= 0 or at[1] + inner[1] <= 0:
        return  # nothing of the picture is within
    whole = functional.interpolate(functional.pad(planes, edges)[None], size=(rows, cols), mode="bilinear")[0]
    whole = whole.flip(1) if reverse else whole
    first = (int(cut[0] * (rows - 1)), int(cut[1] * (cols - 1)))
    box = (
        slice(first[0], first[0] + 1 + int(cut[2] * (rows - first[0] - 1))),
        slice(first[1], first[1] + 1 + int(cut[3] * (cols - first[1] - 1))),
    )
    result = resample(
        planes,
        Axis.of(box[0], size=rows, inner=inner[0], at=at[0], side=side, reverse=reverse),
        Axis.of(box[1], size=cols, inner=inner[1], at=at[1], side=side, reverse=False),
    )
    assert result.shape == whole[:, *box].shape
    torch.testing.assert_close(result, whole[:, *box], atol=1e-5, rtol=1e-5)
