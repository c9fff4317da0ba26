"""A closed surface through the contours of parallel slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LoftedSurface", "lofted_surface"]

_LEAST_CONTOURS = 2


@dataclass(frozen=True, eq=False)
class LoftedSurface:
    """A triangulated closed surface.

    Attributes
    ----------
    vertices_mm : ndarray, shape (V, 3)
        (x, y, z).
    triangles : ndarray of int, shape (F, 3)
        Indices of vertices, counter-clockwise seen from outside where z grows with the order of slices.
    spanned : tuple of int
        Slices without a contour between others, which the surface spans.
    """

    vertices_mm: NDArray[np.float64]
    triangles: NDArray[np.int64]
    spanned: tuple[int, ...]


def lofted_surface(
    contours_mm: Sequence[NDArray[np.float64] | None], positions_mm: Sequence[float], *, points: int = 48
) -> LoftedSurface:
    """Join the contours of parallel slices by triangles, and close both ends.

    Parameters
    ----------
    contours_mm : sequence of ndarray, shape (N, 2), or None
        Closed contour (x, y) of each slice; None where there is none.
    positions_mm : sequence of float
        Position of each slice along their normal, increasing.
    points : int
        Points that each contour is sampled at, at equal distances.

    Returns
    -------
    LoftedSurface

    Raises
    ------
    ValueError
        Fewer than two slices have a contour.
    """
    present = [index for index, contour in enumerate(contours_mm) if contour is not None]
    if len(present) < _LEAST_CONTOURS:
        raise ValueError("expected contours on at least two slices")
    rings = [_ring(contour, points) for contour in contours_mm if contour is not None]
    heights = [positions_mm[index] for index in present]
    vertices = [np.column_stack([ring, np.full(points, z)]) for ring, z in zip(rings, heights, strict=True)]
    vertices += [np.array([[*rings[end].mean(axis=0), heights[end]]]) for end in (0, -1)]
    first, last = len(rings) * points, len(rings) * points + 1
    here = np.arange(points)
    beside = np.roll(here, -1)
    triangles = []
    for level in range(len(rings) - 1):
        low, high = level * points, (level + 1) * points
        triangles.append(np.column_stack([low + here, low + beside, high + here]))
        triangles.append(np.column_stack([low + beside, high + beside, high + here]))
    top = (len(rings) - 1) * points
    triangles.append(np.column_stack([np.full(points, first), beside, here]))
    triangles.append(np.column_stack([np.full(points, last), top + here, top + beside]))
    spanned = tuple(index for index in range(present[0], present[-1]) if contours_mm[index] is None)
    return LoftedSurface(np.concatenate(vertices), np.concatenate(triangles), spanned)


def _ring(contour: NDArray[np.float64], points: int) -> NDArray[np.float64]:
    """Sample a closed contour counter-clockwise, from where it leaves its centre in the direction of x."""
    if np.allclose(contour[0], contour[-1]):
        contour = contour[:-1]
    x, y = contour.T
    if np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) < 0:
        contour = contour[::-1]
    centre = contour.mean(axis=0)
    angles = np.arctan2(*(contour - centre).T[::-1])
    contour = np.roll(contour, -int(np.argmin(np.abs(angles))), axis=0)
    closed = np.vstack([contour, contour[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.linspace(0.0, along[-1], points, endpoint=False)
    return np.column_stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)])
