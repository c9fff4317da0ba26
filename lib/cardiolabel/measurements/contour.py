"""The endocardial contour of one mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

from cardiolabel.errors import MeasurementError
from cardiolabel.geometry.regions import bounding_box, filled

BEYOND_IMAGE = -1
"""Value outside a contour point on the image's border."""

_MIN_PIXELS = 12
_RAGGED = 8
"""Pixels of outline per row and column of a cavity's bounding box; a convex cavity has 2, noise up to 5."""

_GAP_PX, _GAP_MM = 2.5, 2.0


@dataclass(frozen=True, eq=False)
class Cavity:
    """The largest component of a cavity mask, its holes filled.

    ``contour`` is a closed polygon ``(N, 2)`` of (row, col) in pixels, half-way between inside and
    outside pixels, without the repeated last point. ``outside`` is the mask value just outside each
    of its points (`BEYOND_IMAGE` on the picture's border).
    """

    contour: NDArray[np.float64]
    outside: NDArray[np.int16]
    pixel_count: int
    fragment_count: int
    fragment_share: float
    touches_border: bool


def trace_cavity(mask: NDArray[np.uint8], value: int) -> Cavity:
    """Trace the largest component of ``mask == value``, ``mask (H, W)``.

    Raises
    ------
    MeasurementError
        No such pixel, or too few to have a shape.
    """
    inside = mask == value
    window = bounding_box(inside)
    if window is None:
        raise MeasurementError("the mask has no LV cavity")
    top, left = (part.start for part in window)
    parts, count = ndimage.label(inside[window])
    sizes = np.bincount(parts.ravel())[1:]
    largest = int(sizes.argmax()) + 1
    if sizes[largest - 1] < _MIN_PIXELS:
        raise MeasurementError(f"the LV cavity has only {sizes[largest - 1]} pixels")
    solid = filled(parts == largest)
    padded = np.pad(solid, 1)
    _refuse_ragged(padded)
    polygon = max(find_contours(padded.astype(np.float32), 0.5), key=len)[:-1]
    surround = np.full(padded.shape, BEYOND_IMAGE, dtype=np.int16)
    _paste_neighbourhood(mask, surround, top - 1, left - 1)
    height, width = mask.shape
    on_edge = (
        (top == 0 and bool(solid[0].any()))
        or (left == 0 and bool(solid[:, 0].any()))
        or (window[0].stop == height and bool(solid[-1].any()))
        or (window[1].stop == width and bool(solid[:, -1].any()))
    )
    return Cavity(
        contour=polygon + np.array([top - 1, left - 1]),
        outside=_outside_values(polygon, padded, surround),
        pixel_count=int(solid.sum()),
        fragment_count=int(count) - 1,
        fragment_share=float(1 - sizes[largest - 1] / sizes.sum()),
        touches_border=on_edge,
    )


def _refuse_ragged(padded: NDArray[np.bool_]) -> None:
    """Refuse an outline far longer than that of its bounding box: no cavity has one, and it takes minutes."""
    edges = np.count_nonzero(padded[1:] != padded[:-1]) + np.count_nonzero(padded[:, 1:] != padded[:, :-1])
    around = sum(padded.shape)
    if edges > _RAGGED * around:
        raise MeasurementError(
            f"the LV cavity's outline is {edges} pixels long, {edges / (2 * around):.0f} times as long as its"
            " box's; draw it without comb-like teeth"
        )


def across_gap(
    cavity: Cavity, mask: NDArray[np.uint8], value: int, *, scale_mm: NDArray[np.float64]
) -> NDArray[np.int16]:
    """Return the values outside a cavity, with the structure just behind a narrow gap of background.

    A gap of up to 2.5 pixels or 2 mm is bridged.

    Parameters
    ----------
    cavity : Cavity
    mask : ndarray of uint8, shape (H, W)
    value : int
        Mask value of the structure.
    scale_mm : ndarray, shape (2,)
        Pixel size (row, col).

    Returns
    -------
    ndarray of int16, shape (N,)
    """
    reach_mm = max(_GAP_MM, _GAP_PX * float(scale_mm.max()))
    margin = np.ceil(reach_mm / scale_mm).astype(np.intp) + 1
    corner = np.maximum(np.floor(cavity.contour.min(axis=0)).astype(np.intp) - margin, 0)
    end = np.ceil(cavity.contour.max(axis=0)).astype(np.intp) + margin + 1
    window = mask[corner[0] : end[0], corner[1] : end[1]]
    if not (window == value).any():
        return cavity.outside
    distance_mm = ndimage.distance_transform_edt(window != value, sampling=scale_mm)
    at = np.clip(np.rint(cavity.contour).astype(np.intp) - corner, 0, np.array(window.shape) - 1)
    near = distance_mm[at[:, 0], at[:, 1]] <= reach_mm
    return np.where(near & (cavity.outside == 0), np.int16(value), cavity.outside)


def _paste_neighbourhood(mask: NDArray[np.uint8], target: NDArray[np.int16], top: int, left: int) -> None:
    rows, cols = target.shape
    source = mask[max(top, 0) : top + rows, max(left, 0) : left + cols]
    at_row, at_col = max(-top, 0), max(-left, 0)
    target[at_row : at_row + source.shape[0], at_col : at_col + source.shape[1]] = source


def _outside_values(
    polygon: NDArray[np.float64], solid: NDArray[np.bool_], values: NDArray[np.int16]
) -> NDArray[np.int16]:
    low = np.floor(polygon).astype(np.intp)
    high = np.ceil(polygon).astype(np.intp)
    low_inside = solid[low[:, 0], low[:, 1]]
    picked = np.where(low_inside[:, None], high, low)
    outside: NDArray[np.int16] = values[picked[:, 0], picked[:, 1]]
    return outside
