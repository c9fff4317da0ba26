"""From raw class maps to one clean component per structure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cardiolabel.domain import LabelSet


def clean_mask(mask: NDArray[np.uint8], labels: LabelSet) -> NDArray[np.uint8]:
    """Keep each structure's largest component and fill the holes of the LV cavity.

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
        rows = np.flatnonzero((mask == value).any(axis=1))
        if rows.size == 0:
            continue
        band = slice(int(rows[0]), int(rows[-1]) + 1)
        parts, count = ndimage.label(mask[band] == value)
        if count > 1:
            kept = parts == int(np.bincount(parts.ravel())[1:].argmax()) + 1
        else:
            kept = parts > 0
        if name == "lv_cavity":
            kept = ndimage.binary_fill_holes(kept)
            cleaned[band][kept] = value
        else:
            cleaned[band][kept & (cleaned[band] == 0)] = value
    return cleaned
