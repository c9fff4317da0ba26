"""Seven landmarks and the cavity they stand for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from cardiolabel.errors import ImageContentError
from cardiolabel.geometry.landmarks import NAMES, WALL_LEVELS, Landmarks
from cardiolabel.geometry.polygon import polygon_area

Width = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Half the width, as a share of its largest, at levels from apex (0) to annulus (1)."""

SHAPES: dict[str, Width] = {
    "half ellipse": lambda t: np.sqrt(1 - (1 - t) ** 2),
    "ellipse cut below its equator": lambda t: np.sqrt(1 - ((0.6 - t) / 0.6) ** 2 * (t < 1.2)),
    "blunt": lambda t: np.sqrt(1 - (1 - t) ** 4),
}


def ventricle(
    width: Width, length: float, diameter: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The seven points, and a fine outline of the same shape; the apex is up, at row 20.3 and column 50.2."""

    def wall(levels: NDArray[np.float64], side: int) -> NDArray[np.float64]:
        return np.stack([20.3 + levels * length, 50.2 + side * diameter / 2 * width(levels)], axis=1)

    down = np.array([1.0, *sorted(WALL_LEVELS, reverse=True)])
    points = np.concatenate([wall(down, -1), [[20.3, 50.2]], wall(down[::-1], 1)])
    fine = np.linspace(0, 1, 300)
    return points, np.concatenate([wall(fine[::-1], -1), wall(fine, 1)])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("length", "diameter"), [(50.0, 30.0), (60.0, 40.0), (40.0, 38.0)])
def test_the_outline_is_the_ventricle_s(shape: str, length: float, diameter: float) -> None:
    points, outline = ventricle(SHAPES[shape], length, diameter)
    result = Landmarks(points)
    assert polygon_area(result.outline_px()) == pytest.approx(polygon_area(outline), rel=0.02)
    farthest = max(np.linalg.norm(outline - point, axis=1).min() for point in result.outline_px())
    assert farthest < 1.3
    assert result.mask((112, 112)).sum() == pytest.approx(polygon_area(result.outline_px()), rel=0.015)


def test_the_outline_goes_through_every_point_and_is_straight_at_the_annulus() -> None:
    points, _ = ventricle(SHAPES["half ellipse"], 60, 40)
    outline = Landmarks(points).outline_px()
    for point in points:
        assert np.linalg.norm(outline - point, axis=1).min() < 0.5
    np.testing.assert_allclose(outline[[0, -1]], points[[0, -1]])
    assert not Landmarks(points).mask((112, 112))[82:].any()


def test_turning_the_points_turns_the_outline() -> None:
    points, _ = ventricle(SHAPES["half ellipse"], 60, 40)
    turn = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    np.testing.assert_allclose(
        Landmarks(points @ turn).outline_px(), Landmarks(points).outline_px() @ turn, atol=1e-9
    )


def test_points_have_names() -> None:
    points, _ = ventricle(SHAPES["half ellipse"], 60, 40)
    result = Landmarks(points)
    np.testing.assert_array_equal(result.point_px("apex"), [20.3, 50.2])
    assert result.point_px("annulus_left")[1] < 50 < result.point_px("annulus_right")[1]
    assert len(NAMES) == 7
    with pytest.raises(ValueError, match="not in tuple"):
        result.point_px("nose")


@pytest.mark.parametrize("shape", [(6, 2), (7, 3), (7,)])
def test_seven_points(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageContentError, match="expected 7 points"):
        Landmarks(np.arange(np.prod(shape), dtype=float).reshape(shape))


def test_points_that_are_no_points() -> None:
    points, _ = ventricle(SHAPES["half ellipse"], 60, 40)
    points[2] = np.nan
    with pytest.raises(ImageContentError, match="expected 7 points"):
        Landmarks(points)
    points[2] = points[3]
    with pytest.raises(ImageContentError, match="apical_left and apex are one point"):
        Landmarks(points)


def test_points_closer_than_rounding_are_one() -> None:
    points, _ = ventricle(SHAPES["half ellipse"], 60, 40)
    points[5] = points[6] + 1e-13
    with pytest.raises(ImageContentError, match="basal_right and annulus_right are one point"):
        Landmarks(points)
