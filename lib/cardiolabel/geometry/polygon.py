"""Masks of traced outlines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fill_polygon(points_px: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels whose centre lies inside a closed outline (even-odd rule).

    Centres exactly on the outline count on its upper and left sides and not on its lower and right sides. So
    adjoining outlines share no pixel and leave none between them, and the area is that of the outline on
    average; counting every centre on the outline, as ``skimage.draw.polygon`` does, makes masks too large by
    about half the outline's length where it runs through pixel centres.

    Parameters
    ----------
    points_px : ndarray, shape (N, 2)
        (row, col) of the corners in pixels, the centre of the first pixel at (0, 0); the last corner
        is joined to the first.
    shape : tuple of int
        (H, W) of the mask. What lies outside it is cut off.

    Returns
    -------
    ndarray of bool, shape (H, W)

    References
    ----------
    Shimrat 1962, Algorithm 112: position of point relative to polygon, doi 10.1145/368637.368653.

    Examples
    --------
    >>> fill_polygon(np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 2.0], [2.0, 0.0]]), (3, 3)).astype(int)
    array([[1, 1, 0],
           [1, 1, 0],
           [0, 0, 0]])
    """
    mask = np.zeros(shape, dtype=np.bool_)
    if len(points_px) < 3:
        return mask
    top, left = np.maximum(np.floor(points_px.min(axis=0)), 0).astype(int)
    bottom, right = np.minimum(np.ceil(points_px.max(axis=0)) + 1, shape).astype(int)
    if top >= bottom or left >= right:
        return mask
    rows, cols = np.arange(top, bottom)[:, None], np.arange(left, right)
    here, next_px = points_px, np.roll(points_px, -1, axis=0)
    crossed = (here[:, 0] > rows) != (next_px[:, 0] > rows)
    row, edge = np.nonzero(crossed)
    slope = (next_px[edge, 1] - here[edge, 1]) / (next_px[edge, 0] - here[edge, 0])
    at = here[edge, 1] + (rows[row, 0] - here[edge, 0]) * slope
    inside = np.zeros((len(rows), len(cols)), dtype=np.int64)
    np.add.at(inside, row, cols < at[:, None])
    mask[top:bottom, left:right] = inside % 2 == 1
    return mask


def polygon_area(points_px: NDArray[np.float64]) -> float:
    """Compute the area within a closed outline that does not cross itself (shoelace formula).

    Parameters
    ----------
    points_px : ndarray, shape (N, 2)

    Returns
    -------
    float
        In the square of the points' unit.

    Examples
    --------
    >>> polygon_area(np.array([[0.0, 0.0], [0.0, 2.0], [3.0, 2.0], [3.0, 0.0]]))
    6.0
    """
    following = np.roll(points_px, -1, axis=0)
    cross = points_px[:, 0] * following[:, 1] - following[:, 0] * points_px[:, 1]
    return abs(float(cross.sum())) / 2
