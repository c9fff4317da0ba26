"""Dice of masks that overlap by known shares."""

from __future__ import annotations

import math

from cardiolabel.measurements.overlap import dice

from .shapes import rectangle

CAVITY = (1,)


def test_dice_of_shifted_rectangles() -> None:
    assert dice(rectangle(10, 10), rectangle(15, 10), CAVITY) == 0.75
    assert dice(rectangle(10, 10), rectangle(10, 10), CAVITY) == 1
    assert dice(rectangle(10, 10), rectangle(40, 50), CAVITY) == 0
    assert math.isnan(dice(rectangle(10, 10), rectangle(10, 10), (3,)))


def test_dice_takes_a_structure_of_several_values_as_one() -> None:
    ours, theirs = rectangle(10, 10), rectangle(10, 10)
    theirs[theirs == 1] = 2
    assert dice(ours, theirs, (1, 2)) == 1
