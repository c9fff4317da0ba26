"""Outlines of a frame's structures: traced from a mask, and filled into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from skimage.measure import approximate_polygon, find_contours

from cardiolabel.domain import LabelSet
from cardiolabel.errors import ImageContentError
from cardiolabel.geometry.polygon import fill_polygon
from cardiolabel.geometry.regions import bounding_box, filled

__all__ = ["CAVITY", "Outlines", "fill_outlines", "trace_outlines"]

Outlines = Mapping[str, Sequence[NDArray[np.float64]]]
"""Closed outlines ``(N, 2)`` as (row, col) in pixels, by structure."""

CAVITY, _WALL = "lv_cavity", "myocardium"
_TOLERANCE_PX = 0.25
_LEAST_POINTS = 4


def trace_outlines(mask: NDArray[np.uint8], labels: LabelSet) -> dict[str, list[NDArray[np.float64]]]:
    """Trace the outlines of a mask's structures.

    The outline of ``lv_cavity`` is the endocardium, that of ``myocardium`` the epicardium, around cavity and
    wall. Holes are not traced.

    Parameters
    ----------
    mask : ndarray of uint8, shape (H, W)
        Label values.
    labels : LabelSet

    Returns
    -------
    dict of str to list of ndarray, shape (N, 2)
        Structures that the mask has, the largest outline of each first; points within 0.25 pixels of the
        half-way line between inside and outside.

    Examples
    --------
    >>> mask = np.zeros((9, 9), np.uint8)
    >>> mask[2:7, 3:6] = 1
    >>> (outline,) = trace_outlines(mask, LabelSet("lv", (("lv_cavity", 1),)))["lv_cavity"]
    >>> outline.min(axis=0).tolist(), outline.max(axis=0).tolist()
    ([1.5, 2.5], [6.5, 5.5])
    """
    traced = {}
    for name, _ in labels.values:
        outlines = _traced(_region(mask, labels, name))
        if outlines:
            traced[name] = outlines
    return traced


def fill_outlines(mask: NDArray[np.uint8], outlines: Outlines, labels: LabelSet) -> NDArray[np.uint8]:
    """Return a mask in which the outlined structures are drawn anew, and the others stay.

    The cavity lies within the wall's outline, and other structures outside it, so that none overlap: the
    epicardium is moved out to a cavity that is drawn beyond it.

    Parameters
    ----------
    mask : ndarray of uint8, shape (H, W)
        Label values before.
    outlines : Outlines
        Outlines of the structures that change; no outline removes a structure.
    labels : LabelSet

    Raises
    ------
    ImageContentError
        An outline is of an unknown structure, or not of finite points.
    """
    regions = {
        name: _filled(outlines[name], mask.shape, name) if name in outlines else _region(mask, labels, name)
        for name, _ in labels.values
    }
    if unknown := sorted(set(outlines) - set(regions)):
        raise ImageContentError(f"no structure {unknown[0]!r}; expected {', '.join(regions)}")
    drawn = np.zeros_like(mask)
    for name, region in regions.items():
        if name not in (CAVITY, _WALL):
            drawn[region] = labels.value(name)
    for name in (_WALL, CAVITY):
        if name in regions:
            drawn[regions[name]] = labels.value(name)
    return drawn


def _region(mask: NDArray[np.uint8], labels: LabelSet, name: str) -> NDArray[np.bool_]:
    """Return a structure with what lies within its outline."""
    region: NDArray[np.bool_] = mask == labels.value(name)
    return region | (mask == labels.value(CAVITY)) if name == _WALL and region.any() else region


def _traced(region: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    box = bounding_box(region)
    if box is None:
        return []
    corner = np.array([part.start for part in box]) - 1
    inside = np.pad(filled(region[box]), 1).astype(np.float64)
    outlines = [
        approximate_polygon(contour, _TOLERANCE_PX)[:-1] + corner
        for contour in sorted(find_contours(inside, 0.5), key=len, reverse=True)
    ]
    return [outline for outline in outlines if len(outline) >= _LEAST_POINTS]


def _filled(outlines: Sequence[NDArray[np.float64]], shape: tuple[int, ...], name: str) -> NDArray[np.bool_]:
    height, width = shape
    region = np.zeros((height, width), dtype=np.bool_)
    for outline in outlines:
        if outline.ndim != 2 or outline.shape[1] != 2 or not np.isfinite(outline).all():
            raise ImageContentError(f"{name}: expected an outline of finite points (row, col)")
        region |= fill_polygon(outline, (height, width))
    return region
