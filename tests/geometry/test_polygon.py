"""Filled outlines: areas, shared edges, and every way around."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cardiolabel.geometry.polygon import fill_polygon, polygon_area


def ellipse(row_px: float, col_px: float, centre: tuple[float, float] = (20.3, 25.8)) -> NDArray[np.float64]:
    angle = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    return np.stack([centre[0] + row_px * np.sin(angle), centre[1] + col_px * np.cos(angle)], axis=1)


@pytest.mark.parametrize(("row_px", "col_px"), [(5.0, 9.0), (12.5, 7.25), (18.0, 20.0)])
def test_area_of_mask_outline_and_formula(row_px: float, col_px: float) -> None:
    outline = ellipse(row_px, col_px)
    exact = np.pi * row_px * col_px
    assert polygon_area(outline) == pytest.approx(exact, rel=1e-3)
    assert fill_polygon(outline, (50, 60)).sum() == pytest.approx(exact, rel=0.02)


@given(radius=st.floats(4, 15), row=st.floats(16, 20), col=st.floats(16, 20), half_steps=st.booleans())
def test_the_mask_s_area_is_the_outline_s_even_on_the_pixel_grid(
    radius: float, row: float, col: float, half_steps: bool
) -> None:
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    outline = np.stack([row + radius * np.sin(angle), col + radius * np.cos(angle)], axis=1)
    if half_steps:
        outline = np.round(2 * outline) / 2
    pixels = fill_polygon(outline, (40, 40)).sum()
    assert abs(pixels - polygon_area(outline)) < 2 + radius


def test_outlines_on_the_half_pixel_grid_give_their_area_on_average() -> None:
    rng, shares = np.random.default_rng(0), []
    for _ in range(200):
        row, col, radius = rng.uniform(18, 22), rng.uniform(18, 22), rng.uniform(8, 16)
        angle = np.linspace(0, 2 * np.pi, 300, endpoint=False)
        outline = np.round(2 * np.stack([row + radius * np.sin(angle), col + radius * np.cos(angle)], 1)) / 2
        shares.append(fill_polygon(outline, (45, 45)).sum() / polygon_area(outline))
    assert np.mean(shares) == pytest.approx(1, abs=0.003)


def test_the_centre_is_where_the_outline_s_is() -> None:
    rows, cols = np.nonzero(fill_polygon(ellipse(10, 14), (50, 60)))
    assert (rows.mean(), cols.mean()) == pytest.approx((20.3, 25.8), abs=0.1)


def test_neighbours_share_no_pixel_and_leave_none_between() -> None:
    left = np.array([[0.0, 0.0], [0.0, 4.0], [6.0, 4.0], [6.0, 0.0]])
    right = left + np.array([0.0, 4.0])
    both = fill_polygon(left, (6, 8)).astype(int) + fill_polygon(right, (6, 8))
    np.testing.assert_array_equal(both, np.ones((6, 8)))


def test_either_way_around_and_from_any_corner() -> None:
    outline = np.round(2 * ellipse(9, 13)) / 2
    expected = fill_polygon(outline, (50, 60))
    np.testing.assert_array_equal(fill_polygon(outline[::-1], (50, 60)), expected)
    np.testing.assert_array_equal(fill_polygon(np.roll(outline, 77, axis=0), (50, 60)), expected)
    np.testing.assert_array_equal(fill_polygon(np.vstack([outline, outline[:1]]), (50, 60)), expected)
    assert polygon_area(outline[::-1]) == polygon_area(outline)


def test_a_hollow_stays_empty() -> None:
    c_shape = np.array([[0, 0], [0, 8], [2, 8], [2, 2], [6, 2], [6, 8], [8, 8], [8, 0]], dtype=float)
    mask = fill_polygon(c_shape, (8, 8))
    assert mask.sum() == polygon_area(c_shape) == 40
    assert not mask[4, 5]


@pytest.mark.parametrize("shift", [(-30.0, 0.0), (0.0, 80.0), (60.0, 0.0), (-100.0, -100.0)])
def test_what_lies_outside_the_image_is_cut_off(shift: tuple[float, float]) -> None:
    assert not fill_polygon(ellipse(5, 5) + shift, (40, 40)).any()


def test_an_outline_that_reaches_outside_fills_what_is_inside() -> None:
    outline = np.array([[-5.0, -5.0], [-5.0, 100.0], [100.0, 100.0], [100.0, -5.0]])
    assert fill_polygon(outline, (7, 9)).all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_points_enclose_nothing(count: int) -> None:
    assert not fill_polygon(np.ones((count, 2)), (4, 4)).any()
