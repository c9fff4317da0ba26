"""From raw class maps to one clean component per structure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cardiolabel.domain import LabelSet
from cardiolabel.geometry.regions import background_euler, bounding_box, filled


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
        box = bounding_box(mask == value)
        if box is None:
            continue
        parts, count = ndimage.label(mask[box] == value)
        if count > 1:
            kept = parts == int(np.bincount(parts.ravel())[1:].argmax()) + 1
        else:
            kept = parts > 0
        if name == "lv_cavity":
            cleaned[box][filled(kept)] = value
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
    """Background that cavity and myocardium, each of one part or none, enclose is myocardium."""
    wall = labels.value("myocardium")
    found = bounding_box((mask == labels.value("lv_cavity")) | (mask == wall))
    if found is None:
        return
    box = mask[found]
    cavity, myocardium = box == labels.value("lv_cavity"), box == wall
    heart = cavity | myocardium
    apart = cavity.any() and myocardium.any() and not _touch(cavity, myocardium)
    if apart or background_euler(heart) > 0:
        box[ndimage.binary_fill_holes(heart) & (box == 0)] = wall


def _touch(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> bool:
    """Whether a pixel of one mask is beside a pixel of another."""
    return any(
        bool((a[:, 1:] & b[:, :-1]).any() or (a[1:] & b[:-1]).any()) for a, b in ((one, other), (other, one))
    )
