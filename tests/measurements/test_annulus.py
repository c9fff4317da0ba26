"""Hinge points from neighbours and from shape."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.annulus import hinges_from_neighbours, hinges_from_shape

WALL, ATRIUM = 2, 3


def rectangle(height: int = 40, width: int = 20) -> NDArray[np.float64]:
    """A closed contour in steps of 1 mm, from the top left corner clockwise."""
    top = [(0, col) for col in range(width)]
    right = [(row, width) for row in range(height)]
    bottom = [(height, col) for col in range(width, 0, -1)]
    left = [(row, 0) for row in range(height, 0, -1)]
    return np.array(top + right + bottom + left, dtype=np.float64)


def ends(contour: NDArray[np.float64], hinges: tuple[int, int] | None) -> NDArray[np.float64]:
    assert hinges is not None
    return contour[list(hinges)][np.argsort(contour[list(hinges)][:, 1])]


def outside(contour: NDArray[np.float64], *, base: int = ATRIUM) -> NDArray[np.int16]:
    return np.where(contour[:, 0] == 40, base, WALL).astype(np.int16)


@pytest.mark.parametrize("start", [0, 35, 70, 110])
def test_the_wall_lets_go_at_the_corners_wherever_the_contour_starts(start: int) -> None:
    contour = np.roll(rectangle(), -start, axis=0)
    found = hinges_from_neighbours(contour, outside(contour), myocardium=WALL, atrium=ATRIUM)
    assert np.abs(ends(contour, found) - [(40, 0), (40, 20)]).max() <= 1


def test_a_gap_in_the_wall_is_not_the_base() -> None:
    contour = rectangle()
    values = outside(contour)
    values[(contour[:, 1] == 0) & (contour[:, 0] > 10) & (contour[:, 0] < 13)] = 0
    found = hinges_from_neighbours(contour, values, myocardium=WALL, atrium=ATRIUM)
    assert np.abs(ends(contour, found) - [(40, 0), (40, 20)]).max() <= 1


def test_the_atrium_decides_between_two_openings() -> None:
    contour = rectangle()
    values = outside(contour)
    values[(contour[:, 1] == 0) & (contour[:, 0] > 5) & (contour[:, 0] < 35)] = 0  # longer than the base
    found = hinges_from_neighbours(contour, values, myocardium=WALL, atrium=ATRIUM)
    assert np.abs(ends(contour, found) - [(40, 0), (40, 20)]).max() <= 1
    without = hinges_from_neighbours(contour, values, myocardium=WALL, atrium=None)
    assert (ends(contour, without)[:, 1] == 0).all()


@pytest.mark.parametrize("values", [0, WALL], ids=["no wall", "wall all round"])
def test_neighbours_that_do_not_tell(values: int) -> None:
    contour = rectangle()
    around = np.full(len(contour), values, np.int16)
    assert hinges_from_neighbours(contour, around, myocardium=WALL, atrium=ATRIUM) is None


@pytest.mark.parametrize("start", [0, 50, 100])
def test_the_flat_end_across_the_axis_is_the_base(start: int) -> None:
    turn = np.linspace(np.pi, 0, 200)
    dome = np.stack([40 - 40 * np.sin(turn), 12 * np.cos(turn)], axis=1)
    base = np.stack([np.full(48, 40.0), np.linspace(12, -12, 50)[1:-1]], axis=1)
    contour = np.roll(np.concatenate([dome, base]), -start, axis=0)
    found = ends(contour, hinges_from_shape(contour))
    assert np.abs(found - [(40, -12), (40, 12)]).max() < 1.5


def test_a_round_cavity_still_gives_an_answer_or_a_reason() -> None:
    turn = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    circle = np.stack([np.sin(turn), np.cos(turn)], axis=1) * 20
    try:
        first, last = hinges_from_shape(circle)
    except MeasurementError as error:
        assert "flat side" in str(error)
    else:
        assert first != last
