"""Tracing: half-way between pixels, the largest piece, what lies outside."""

from __future__ import annotations

import numpy as np
import pytest

from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.contour import trace_cavity


def square(size: int = 12, low: int = 3, high: int = 9) -> np.ndarray:
    mask = np.zeros((size, size), np.uint8)
    mask[low:high, low:high] = 1
    return mask


def test_the_contour_runs_half_way_between_inside_and_outside() -> None:
    result = trace_cavity(square(), 1)
    assert result.contour.min(axis=0) == pytest.approx([2.5, 2.5])
    assert result.contour.max(axis=0) == pytest.approx([8.5, 8.5])
    assert len(np.unique(result.contour, axis=0)) == len(result.contour)
    assert result.pixel_count == 36


def test_the_polygon_holds_the_area_but_for_its_corners() -> None:
    result = trace_cavity(square(), 1)
    row, col = result.contour.T
    area = 0.5 * abs(float((row * np.roll(col, -1) - np.roll(row, -1) * col).sum()))
    assert area == pytest.approx(36 - 4 * 0.125)


def test_only_the_requested_value_is_traced() -> None:
    mask = square()
    mask[0:2] = 3
    assert trace_cavity(mask, 1).pixel_count == 36
    assert trace_cavity(mask, 3).pixel_count == 24


def test_values_outside_each_point_are_the_neighbours() -> None:
    mask = square()
    mask[9:] = 3
    mask[:3] = 2
    result = trace_cavity(mask, 1)
    on_top, below = result.contour[:, 0] == 2.5, result.contour[:, 0] == 8.5
    assert set(result.outside[on_top]) == {2}
    assert set(result.outside[below]) == {3}
    assert set(result.outside[result.contour[:, 1] == 2.5]) == {0}


def test_beyond_the_image_is_no_label() -> None:
    result = trace_cavity(np.ones((6, 8), np.uint8), 1)
    assert result.touches_border
    assert set(result.outside) == {-1}
    assert result.contour.min() == -0.5


def test_the_largest_of_several_pieces_is_kept() -> None:
    mask = square()
    mask[0, 0:2] = 1
    mask[11, 11] = 1
    result = trace_cavity(mask, 1)
    assert (result.pixel_count, result.fragment_count) == (36, 2)
    assert result.fragment_share == pytest.approx(3 / 39)
    assert not result.touches_border  # only crumbs do


def test_pieces_that_meet_at_a_corner_are_two() -> None:
    mask = np.zeros((12, 12), np.uint8)
    mask[0:5, 0:5] = 1
    mask[5:9, 5:9] = 1
    assert trace_cavity(mask, 1).fragment_count == 1


@pytest.mark.parametrize("count", [0, 1, 11])
def test_too_little_to_have_a_shape(count: int) -> None:
    mask = np.zeros((12, 12), np.uint8)
    mask[0, :count] = 1
    with pytest.raises(MeasurementError):
        trace_cavity(mask, 1)


def comb(size: int, *, pitch: int) -> np.ndarray:
    """Teeth of one pixel, joined at one side."""
    mask = np.zeros((size, size), np.uint8)
    mask[::pitch] = mask[:, 0] = 1
    return mask


def test_an_outline_that_fills_the_picture_is_refused_at_once() -> None:
    with pytest.raises(MeasurementError, match="outline is 262658 pixels long"):
        trace_cavity(comb(512, pitch=2), 1)


@pytest.mark.parametrize("size", [13, 64, 512])
def test_noise_at_the_edge_is_still_an_outline(size: int) -> None:
    drawn = np.random.default_rng(size).random((size, size)) < 0.7
    assert len(trace_cavity(drawn.astype(np.uint8), 1).contour) > size
