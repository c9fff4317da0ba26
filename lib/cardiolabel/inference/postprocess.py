"""From raw class maps to one clean component per structure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cardiolabel.domain import LabelSet


def clean_mask(mask: NDArray[np.uint8], labels: LabelSet) -> NDArray[np.uint8]:
    """Keep each structure's largest component and fill holes: of the cavity, and beside it with myocardium.

    Parameters
    ----------
    mask : ndarray of uint8, shape (H, W)
    labels : LabelSet

    Returns
    -------
    ndarray of uint8, shape (H, W)
        A new array.
    """
    cleaned = np.zeros_like(mask)
    for name, value in labels.values:
        box = _box(mask == value)
        if box is None:
            continue
        parts, count = ndimage.label(mask[box] == value)
        if count > 1:
            kept = parts == int(np.bincount(parts.ravel())[1:].argmax()) + 1
        else:
            kept = parts > 0
        if name == "lv_cavity":
            kept = ndimage.binary_fill_holes(kept)
            cleaned[box][kept] = value
        else:
            cleaned[box][kept & (cleaned[box] == 0)] = value
    if labels.has("myocardium") and labels.has("lv_cavity"):
        _close_wall(cleaned, labels)
    return cleaned


def wall_share(mask: NDArray[np.uint8], labels: LabelSet) -> float:
    """Share of the pixels around the LV cavity that are myocardium; 0 without a cavity.

    >>> ring = np.full((5, 5), 2, np.uint8)
    >>> ring[2, 2] = 1
    >>> ring[:2] = 0
    >>> wall_share(ring, LabelSet("wall", (("lv_cavity", 1), ("myocardium", 2))))
    0.75
    """
    cavity = mask == labels.value("lv_cavity")
    around = ndimage.binary_dilation(cavity) & ~cavity
    return float((mask[around] == labels.value("myocardium")).mean()) if around.any() else 0.0


def _close_wall(mask: NDArray[np.uint8], labels: LabelSet) -> None:
    """Background that cavity and myocardium enclose is myocardium."""
    wall = labels.value("myocardium")
    found = _box(mask > 0)
    if found is not None:
        box = mask[found]
        outside, count = ndimage.label(
            np.pad((box != labels.value("lv_cavity")) & (box != wall), 1, constant_values=True)
        )
        if count > 1:
            box[(outside[1:-1, 1:-1] != outside[0, 0]) & (outside[1:-1, 1:-1] > 0) & (box == 0)] = wall


def _box(found: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Rows and columns from the first to the last pixel; None where there is none."""
    rows = np.flatnonzero(found.any(axis=1))
    if rows.size == 0:
        return None
    band = slice(int(rows[0]), int(rows[-1]) + 1)
    cols = np.flatnonzero(found[band].any(axis=0))
    return band, slice(int(cols[0]), int(cols[-1]) + 1)
