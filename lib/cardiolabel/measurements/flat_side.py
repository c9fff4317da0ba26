"""The flat side of a closed contour: the mitral annulus where no neighbour shows it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardiolabel.errors import MeasurementError

# No guideline gives these: they are this project's choices, and the shapes of
# tests/measurements/test_annulus.py hold them.
_SAMPLES = 160
"""Evenly spaced points of a contour among which arcs are searched."""

_DEVIATION_COST = 5.0
"""Length of chord that one unit of distance between an arc and its chord costs."""

_ACROSS = 0.7
"""Largest cosine between a base and the principal axis; 45 degrees."""

_ELONGATED = 1.25
"""Ratio of the spreads along and across from which a cavity has a principal axis."""

_OPEN_SHARE = 0.9
"""Least share of an arc's points that may belong to a base."""

_LEAST_FLATNESS = 0.5
"""Share of the flattest arc's flatness that an arc of open points needs to be preferred."""

_CANDIDATES = 16
"""Starts and ends that are tried on either side of a core."""

_Arc = tuple[float, int, int]
"""Flatness in the contour's unit, start and span."""


def hinges_from_shape(
    contour: NDArray[np.float64], is_open: NDArray[np.bool_] | None = None
) -> tuple[int, int]:
    """Find the hinge points as the ends of the cavity's flat side.

    Of arcs that cross the principal axis (any arc, where the cavity is about as wide as long), the one with
    the longest chord counts, less five times the distance by which the arc leaves its chord. Arcs of points
    that may belong to a base come first; others count where none of those is nearly as flat.

    Parameters
    ----------
    contour : ndarray, shape (N, 2)
        Closed contour, (row, col) in mm, or in pixels without calibration.
    is_open : ndarray of bool, shape (N,), optional
        Points that may belong to a base: not on the picture's border, no myocardium beside them.

    Returns
    -------
    tuple of int
        Indices of the first and last point of the basal arc, running forward.

    Raises
    ------
    MeasurementError
        No side is flat enough to be a base.
    """
    points, index = _resample(_of_unit_length(contour))
    axis = _axis_of(points)
    starts, spans = np.arange(0, _SAMPLES, 2), range(_SAMPLES // 20, _SAMPLES * 2 // 5, 2)
    allowed = None if is_open is None or is_open.all() else is_open[index]
    coarse, open_arc = _flattest_arcs(points, starts, spans, axis=axis, allowed=allowed)
    if coarse is None:
        raise MeasurementError("the cavity has no flat side that could be the mitral annulus")
    takes_open = open_arc is not None and open_arc[0] > _LEAST_FLATNESS * coarse[0]
    _, start, span = open_arc if open_arc is not None and takes_open else coarse
    near = np.arange(start - 2, start + 3) % _SAMPLES
    spans = range(span - 3, span + 4)
    refined = _flattest_arcs(points, near, spans, axis=axis, allowed=allowed)[int(takes_open)]
    _, start, span = refined or (0.0, start, span)
    return int(index[start]), int(index[(start + span) % _SAMPLES])


def flatness(arc_points: NDArray[np.float64], axis: NDArray[np.float64] | None) -> float:
    """Return the chord of an arc ``(N, 2)``, less five times the distance by which the arc leaves it.

    It is 0 where the arc runs along the principal axis.

    >>> flatness(np.array([[0.0, 0.0], [1.0, 10.0], [0.0, 20.0]]), None)
    15.0
    """
    chord, leave = arc_points[-1] - arc_points[0], arc_points - arc_points[0]
    length = float(np.linalg.norm(chord))
    if length <= 0 or (axis is not None and abs(float(chord @ axis)) >= _ACROSS * length):
        return 0.0
    off = leave[:, 1] * chord[0] - leave[:, 0] * chord[1]
    return length - _DEVIATION_COST * float(np.abs(off).max()) / length


def flattest_within(
    contour: NDArray[np.float64], opening: tuple[int, int], core: tuple[int, int]
) -> tuple[int, int]:
    """Find the ends of the flattest arc that holds a core and stays within an opening.

    Parameters
    ----------
    contour : ndarray, shape (N, 2)
        Closed contour, (row, col) in mm, or in pixels without calibration.
    opening, core : tuple of int
        First and last point, running forward; the last may pass the end of the contour.

    Returns
    -------
    tuple of int
        First and last point, counted as those of the opening.
    """
    contour = _of_unit_length(contour)
    first, last = _flattest_pair(contour, (opening[0], core[0]), (core[1], opening[1]))
    before = (core[0] - opening[0]) // (_CANDIDATES - 1) + 1
    after = (opening[1] - core[1]) // (_CANDIDATES - 1) + 1
    return _flattest_pair(
        contour,
        (max(first - before, opening[0]), min(first + before, core[0])),
        (max(last - after, core[1]), min(last + after, opening[1])),
    )


def _of_unit_length(contour: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a contour in parts of its own length, rounded, so that ties are the same in every unit."""
    length = np.linalg.norm(np.roll(contour, -1, axis=0) - contour, axis=1).sum()
    return np.asarray(np.round(contour / length, 9))


def _flattest_pair(
    contour: NDArray[np.float64], starts: tuple[int, int], ends: tuple[int, int]
) -> tuple[int, int]:
    """Return the flattest arc from one of the starts to one of the ends; up to 16 of either are tried."""
    either = [np.unique(np.linspace(*side, _CANDIDATES).round()) for side in (starts, ends)]
    pairs = np.stack(np.meshgrid(*either, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.intp)
    along = pairs[:, :1] + (pairs[:, 1:] - pairs[:, :1]) * np.linspace(0, 1, 2 * _CANDIDATES)
    arcs = contour[along.round().astype(np.intp) % len(contour)]
    chord, leave = arcs[:, -1] - arcs[:, 0], arcs - arcs[:, :1]
    length = np.maximum(np.linalg.norm(chord, axis=1), 1e-9)
    off = leave[..., 1] * chord[:, :1] - leave[..., 0] * chord[:, 1:]
    first, last = pairs[int((length - _DEVIATION_COST * np.abs(off).max(axis=1) / length).argmax())]
    return int(first), int(last)


def principal_axis(contour: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the direction ``(2,)`` of a contour; None where it is about as wide as long."""
    return _axis_of(_resample(contour)[0])


def _axis_of(points: NDArray[np.float64]) -> NDArray[np.float64] | None:
    _, spread, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    return axes[0] if spread[0] > _ELONGATED * spread[1] else None


def _flattest_arcs(
    points: NDArray[np.float64],
    starts: NDArray[np.intp],
    spans: range,
    *,
    axis: NDArray[np.float64] | None,
    allowed: NDArray[np.bool_] | None,
) -> tuple[_Arc | None, _Arc | None]:
    """Return the flattest arc across the axis, and the flattest of allowed points; None where there is
    none.
    """
    best: list[_Arc | None] = [None, None]
    for span in spans:
        begin = points[starts]
        chord = points[(starts + span) % len(points)] - begin
        length = np.linalg.norm(chord, axis=1)
        across = np.abs(chord @ axis) < _ACROSS * length if axis is not None else length > 0
        inner = (starts[:, None] + np.arange(1, span, 2)) % len(points)
        arc = points[inner] - begin[:, None]
        leave = arc[..., 1] * chord[:, :1] - arc[..., 0] * chord[:, 1:]
        deviation = np.abs(leave).max(axis=1) / np.maximum(length, 1e-9)
        score = np.where(across, length - _DEVIATION_COST * deviation, -np.inf)
        scores = [score]
        if allowed is not None:
            scores.append(np.where(allowed[inner].mean(axis=1) >= _OPEN_SHARE, score, -np.inf))
        for kind, values in enumerate(scores):
            top = int(values.argmax())
            flattest = best[kind]
            if values[top] > (flattest[0] if flattest else 0.0):
                best[kind] = (float(values[top]), int(starts[top]), span)
    return best[0], best[1]


def _resample(contour: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the evenly spaced points of a contour, and their indices in it."""
    steps = np.linalg.norm(np.roll(contour, -1, axis=0) - contour, axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    places = np.linspace(0, along[-1], _SAMPLES, endpoint=False)
    index = np.minimum(np.searchsorted(along[:-1], places), len(contour) - 1)
    return contour[index], index
