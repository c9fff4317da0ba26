"""Post-processing of predicted masks: one component per structure, without holes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cardiolabel.domain import LabelSet
from cardiolabel.geometry.regions import background_euler, bounding_box, filled


def clean_mask(mask: NDArray[np.uint8], labels: LabelSet) -> NDArray[np.uint8]:
    """Keep the largest component of each structure, and fill holes in the cavity and in the wall.

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
            component = parts == int(np.bincount(parts.ravel())[1:].argmax()) + 1
        else:
            component = parts > 0
        if name == "lv_cavity":
            cleaned[box][filled(component)] = value
        else:
            cleaned[box][component & (cleaned[box] == 0)] = value
    if labels.has("myocardium") and labels.has("lv_cavity"):
        _close_wall(cleaned, labels)
    return cleaned


def wall_share(mask: NDArray[np.uint8], labels: LabelSet) -> float:
    """Compute the share of the cavity's edge that myocardium covers; 0 without a cavity.

    Examples
    --------
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
    """Label background enclosed by cavity and myocardium as myocardium."""
    wall = labels.value("myocardium")
    heart_box = bounding_box((mask == labels.value("lv_cavity")) | (mask == wall))
    if heart_box is None:
        return
    box = mask[heart_box]
    cavity, myocardium = box == labels.value("lv_cavity"), box == wall
    heart = cavity | myocardium
    apart = cavity.any() and myocardium.any() and not _touch(cavity, myocardium)
    if apart or background_euler(heart) > 0:
        box[ndimage.binary_fill_holes(heart) & (box == 0)] = wall


def _touch(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> bool:
    """Check whether two masks have neighbouring pixels."""
    return any(
        bool((a[:, 1:] & b[:, :-1]).any() or (a[1:] & b[:-1]).any())
        for a, b in ((first, second), (second, first))
    )
