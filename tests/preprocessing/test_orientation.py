"""Frames stored upside down are detected by the shape of the sector."""

from __future__ import annotations

import numpy as np
import pytest

from cardiolabel.preprocessing.orientation import is_upside_down

from .test_recipes import sector


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
@pytest.mark.parametrize("shape", [(300, 400), (64, 64), (700, 200)])
def test_a_sector_shows_which_way_up_it_is(shape: tuple[int, int], dtype: type) -> None:
    frame = sector(shape).astype(dtype)
    assert not is_upside_down(frame)
    assert is_upside_down(frame[::-1])
    assert not is_upside_down(frame[:, ::-1])


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((30, 30)),
        np.full((30, 30), 5.0),
        np.arange(900.0).reshape(30, 30),
        np.eye(3),
        np.ones((1, 1)),
    ],
    ids=["black", "grey", "full rectangle", "tiny", "one pixel"],
)
def test_without_a_sector_nothing_is_turned(frame: np.ndarray) -> None:
    assert not is_upside_down(frame)
    assert not is_upside_down(frame[::-1])


def test_a_grey_offset_does_not_matter() -> None:
    frame = sector((200, 260)).astype(np.float64) - 700
    assert is_upside_down(frame[::-1]) and not is_upside_down(frame)
