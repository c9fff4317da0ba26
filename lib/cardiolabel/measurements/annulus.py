"""Hinge points of the mitral annulus on an endocardial contour.

The annulus is where cavity and atrium meet. Where no atrium is labelled, it is the cavity's flat side, which
the myocardium leaves open. Neither the image's border nor an unlabelled wall is a base.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardiolabel.measurements.contour import BEYOND_IMAGE
from cardiolabel.measurements.flat_side import (
    flatness,
    flattest_within,
    hinges_from_shape,
    principal_axis,
)

# Shares of the cavity's perimeter. No guideline gives them: they are this project's choices, and the shapes
# of tests/measurements/test_annulus.py hold them.
_GAP_SHARE = 0.03
"""Longest gap in the labelled wall that counts as wall, as between strokes of a brush."""

_MIN_BASE_SHARE = 0.08
"""Shortest base; a shorter opening is a gap in the wall."""

_MIN_WALL_SHARE = 0.3
"""Least share of contour points beside myocardium for its opening to tell the base."""

_MIN_CONTACT_SHARE = 0.03
"""Shortest contact with the atrium that tells the base."""

_STRAY_SHARE = 0.015
"""Shorter pieces of contact are stray pixels of the atrium and do not extend the base."""

_NEAR_WALL_SHARE = 0.01
"""Distance from the contact to the myocardium up to which the base reaches the myocardium."""

_FLATTER = 0.1
"""Share of the opening's chord by which a part of it must be flatter to be preferred as the base."""


def find_hinges(
    contour: NDArray[np.float64],
    outside: NDArray[np.int16],
    *,
    myocardium: int | None,
    atrium: int | None,
) -> tuple[tuple[int, int], bool]:
    """Find the hinge points from the cavity's neighbours, or else from its shape.

    Parameters
    ----------
    contour, outside, myocardium, atrium
        As `hinges_from_neighbours`.

    Returns
    -------
    hinges : tuple of int
        Indices of the first and last point of the basal arc (running forward from the first).
    from_shape : bool
        Whether the shape alone tells.

    Raises
    ------
    MeasurementError
        No side of the cavity is flat enough to be a base.
    """
    hinges = hinges_from_neighbours(contour, outside, myocardium=myocardium, atrium=atrium)
    if hinges is not None:
        return hinges, False
    is_open = (outside != BEYOND_IMAGE) & ~_is_wall(outside, myocardium)
    if is_open.mean() < _MIN_BASE_SHARE:
        is_open = outside != BEYOND_IMAGE
    return hinges_from_shape(contour, is_open), True


def hinges_from_neighbours(
    contour: NDArray[np.float64],
    outside: NDArray[np.int16],
    *,
    myocardium: int | None,
    atrium: int | None,
) -> tuple[int, int] | None:
    """Find the hinge points where the cavity meets the atrium, or else where the myocardium ends.

    The basal arc holds the whole contact with the atrium. It extends to the myocardium on either side as far
    as it stays flat. Without contact it is the flattest opening of the myocardium across the principal axis.

    Parameters
    ----------
    contour : ndarray, shape (N, 2)
        Closed contour, (row, col) in mm, or in pixels without calibration.
    outside : ndarray, shape (N,)
        Mask value just outside each contour point; `BEYOND_IMAGE` on the picture's border.
    myocardium, atrium : int or None
        Mask values; None where the mask has no such structure.

    Returns
    -------
    tuple of int or None
        Indices of the first and last point of the basal arc (running forward from the first);
        None where the neighbours do not tell, for instance without a myocardium and an atrium.
    """
    steps = np.linalg.norm(np.roll(contour, -1, axis=0) - contour, axis=1)
    wall = _is_wall(outside, myocardium)
    closed = wall | (outside == BEYOND_IMAGE)
    if closed.all():
        return None
    if closed.any():
        closed = _without_gaps(closed, steps, _GAP_SHARE * float(steps.sum()))
    if atrium:
        arc = _arc_of_contact(contour, steps, closed=closed, contact=outside == atrium)
        if arc is not None:
            return arc
    if wall.mean() < _MIN_WALL_SHARE:
        return None
    return _flattest_opening(contour, steps, closed)


def _is_wall(outside: NDArray[np.int16], myocardium: int | None) -> NDArray[np.bool_]:
    return outside == myocardium if myocardium else np.zeros(len(outside), dtype=bool)


def _arc_of_contact(
    contour: NDArray[np.float64],
    steps: NDArray[np.float64],
    *,
    closed: NDArray[np.bool_],
    contact: NDArray[np.bool_],
) -> tuple[int, int] | None:
    """Return the basal arc around the longest contact with the atrium; None where there is hardly any."""
    perimeter, count = float(steps.sum()), len(contour)
    if contact.all() or not contact.any():
        return None
    openings = _runs(~closed) if closed.any() else [_circle_from_far_side(contact)]

    def touching(opening: tuple[int, int]) -> float:
        index = _points_of(opening, count)
        return float(steps[index][contact[index]].sum())

    first, last = max(openings, key=touching)
    length = touching((first, last))
    if length < _MIN_CONTACT_SHARE * perimeter:
        return None
    along = steps[_points_of((first, last), count)]
    pieces = [
        (start, end)
        for start, end in _straight_runs(contact[_points_of((first, last), count)])
        if float(along[start : end + 1].sum()) >= min(_STRAY_SHARE * perimeter, length / 2)
    ]
    if not pieces:
        return None
    core = first + pieces[0][0], first + pieces[-1][1]
    beside = float(along[: pieces[0][0]].sum()), float(along[pieces[-1][1] + 1 :].sum())
    if max(beside) > _NEAR_WALL_SHARE * perimeter:
        first, last = flattest_within(contour, (first, last), core)
        arc_points = contour[_points_of((first, last), count)]
        if flatness(arc_points, principal_axis(contour)) <= 0:
            first, last = core
    base_length = float(steps[_points_of((first, last), count)].sum())
    return (first % count, last % count) if base_length >= _MIN_BASE_SHARE * perimeter else None


def _flattest_opening(
    contour: NDArray[np.float64], steps: NDArray[np.float64], closed: NDArray[np.bool_]
) -> tuple[int, int] | None:
    """Return the opening of the wall that looks most like a base, without stretches of unlabelled wall at its
    ends.
    """
    perimeter, count = float(steps.sum()), len(contour)
    axis = principal_axis(contour)
    best: tuple[float, int, int] | None = None
    for opening in _runs(~closed):
        if float(steps[_points_of(opening, count)].sum()) < _MIN_BASE_SHARE * perimeter:
            continue
        middle = (opening[0] + opening[1]) // 2
        part = flattest_within(contour, opening, (middle, middle))
        whole_flatness, part_flatness = (
            flatness(contour[_points_of(arc, count)], axis) for arc in (opening, part)
        )
        chord = float(np.linalg.norm(contour[opening[1] % count] - contour[opening[0] % count]))
        arc, score = (
            (part, part_flatness)
            if part_flatness > whole_flatness + _FLATTER * chord
            else (opening, whole_flatness)
        )
        if score > (best[0] if best else 0.0):
            best = (score, arc[0] % count, arc[1] % count)
    return None if best is None else best[1:]


def _points_of(run: tuple[int, int], count: int) -> NDArray[np.intp]:
    return np.arange(run[0], run[1] + 1) % count


def _circle_from_far_side(contact: NDArray[np.bool_]) -> tuple[int, int]:
    """Return all points as one run that starts in the middle of the longest stretch without contact."""
    first, last = max(_runs(~contact), key=lambda run: run[1] - run[0])
    middle = (first + last) // 2
    return middle, middle + len(contact) - 1


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return circular runs of True as (first, last), where ``last`` may exceed the length."""
    start = int(np.flatnonzero(~flags)[0])
    return [(first + start, last + start) for first, last in _straight_runs(np.roll(flags, -start))]


def _straight_runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return runs of True as (first, last), without wrapping around."""
    edges = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    firsts, lasts = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return [(int(a), int(b)) for a, b in zip(firsts, lasts, strict=True)]


def _without_gaps(wall: NDArray[np.bool_], steps: NDArray[np.float64], shortest: float) -> NDArray[np.bool_]:
    """Close the short gaps of the wall, unless that closes it all around."""
    closed = wall.copy()
    for run in _runs(~wall):
        index = _points_of(run, len(wall))
        if steps[index].sum() < shortest:
            closed[index] = True
    return wall if closed.all() else closed
