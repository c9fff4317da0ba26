"""The two hinge points of the mitral annulus on an endocardial contour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardiolabel.errors import MeasurementError

_SAMPLES = 160
_DEVIATION_COST = 5.0
_ACROSS = 0.7
_ELONGATED = 1.25
_MIN_BASE_SHARE = 0.08
_GAP_SHARE = 0.03


def hinges_from_neighbours(
    contour_mm: NDArray[np.float64],
    outside: NDArray[np.int16],
    *,
    myocardium: int,
    atrium: int | None,
) -> tuple[int, int] | None:
    """Hinge points where the myocardium lets go of the cavity.

    Parameters
    ----------
    contour_mm : ndarray, shape (N, 2)
        Closed contour, (row, col) in mm.
    outside : ndarray, shape (N,)
        Mask value just outside each contour point.
    myocardium, atrium : int
        Mask values; ``atrium`` is None where the mask has none.

    Returns
    -------
    tuple of int or None
        Indices of the first and last point of the basal arc (running forward from the first);
        None where the neighbours do not tell, for instance without a myocardium.
    """
    wall = outside == myocardium
    if wall.mean() < 0.3 or wall.all():
        return None
    steps = np.linalg.norm(np.roll(contour_mm, -1, axis=0) - contour_mm, axis=1)
    perimeter = float(steps.sum())
    wall = _close_gaps(wall, steps, _GAP_SHARE * perimeter)
    best: tuple[float, int, int] | None = None
    for first, last in _runs(~wall):
        index = np.arange(first, last + 1) % len(wall)
        length = float(steps[index].sum())
        if length < _MIN_BASE_SHARE * perimeter:
            continue
        contact = float(steps[index][outside[index] == atrium].sum()) if atrium else 0.0
        score = length + 10 * contact
        if best is None or score > best[0]:
            best = (score, first % len(wall), last % len(wall))
    return None if best is None else best[1:]


def hinges_from_shape(contour_mm: NDArray[np.float64]) -> tuple[int, int]:
    """Hinge points as the ends of the cavity's flat side.

    Among arcs that cross the principal axis (any arc, where the cavity is about as wide as long), the
    one with the longest chord is taken, each mm by which the arc leaves its chord costing five of length.

    Parameters
    ----------
    contour_mm : ndarray, shape (N, 2)
        Closed contour, (row, col) in mm.

    Returns
    -------
    tuple of int
        Indices of the first and last point of the basal arc, running forward.

    Raises
    ------
    MeasurementError
        No side is flat enough to be a base.
    """
    points, index = _resample(contour_mm, _SAMPLES)
    centred = points - points.mean(axis=0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    axis = axes[0] if spread[0] > _ELONGATED * spread[1] else None
    coarse = _flattest_arc(
        points, np.arange(0, _SAMPLES, 2), range(_SAMPLES // 20, _SAMPLES * 2 // 5, 2), axis=axis
    )
    if coarse is None:
        raise MeasurementError("the cavity has no flat side that could be the mitral annulus")
    start, span = coarse
    near = np.arange(start - 2, start + 3) % _SAMPLES
    start, span = _flattest_arc(points, near, range(span - 3, span + 4), axis=axis) or coarse
    return int(index[start]), int(index[(start + span) % _SAMPLES])


def _flattest_arc(
    points: NDArray[np.float64], starts: NDArray[np.intp], spans: range, *, axis: NDArray[np.float64] | None
) -> tuple[int, int] | None:
    """Start and span of the arc with the best score; None where none crosses the axis."""
    best: tuple[float, int, int] | None = None
    for span in spans:
        begin = points[starts]
        chord = points[(starts + span) % len(points)] - begin
        length = np.linalg.norm(chord, axis=1)
        across = np.abs(chord @ axis) < _ACROSS * length if axis is not None else length > 0
        arc = points[(starts[:, None] + np.arange(1, span, 2)) % len(points)] - begin[:, None]
        leave = arc[..., 1] * chord[:, :1] - arc[..., 0] * chord[:, 1:]
        deviation = np.abs(leave).max(axis=1) / np.maximum(length, 1e-9)
        score = np.where(across, length - _DEVIATION_COST * deviation, -np.inf)
        top = int(score.argmax())
        if score[top] > (best[0] if best else 0.0):
            best = (float(score[top]), int(starts[top]), span)
    return best[1:] if best else None


def _resample(contour: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    steps = np.linalg.norm(np.roll(contour, -1, axis=0) - contour, axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0, along[-1], count, endpoint=False)
    index = np.minimum(np.searchsorted(along[:-1], wanted), len(contour) - 1)
    return contour[index], index


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Circular runs of True as (first, last), ``last`` may pass the end; flags are mixed."""
    start = int(np.flatnonzero(~flags)[0])
    turned = np.roll(flags, -start).astype(np.int8)
    edges = np.diff(np.concatenate([[0], turned, [0]]))
    firsts, lasts = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return [(int(a) + start, int(b) + start) for a, b in zip(firsts, lasts, strict=True)]


def _close_gaps(wall: NDArray[np.bool_], steps: NDArray[np.float64], shortest_mm: float) -> NDArray[np.bool_]:
    closed = wall.copy()
    for first, last in _runs(~wall):
        index = np.arange(first, last + 1) % len(wall)
        if steps[index].sum() < shortest_mm:
            closed[index] = True
    return wall if closed.all() else closed
