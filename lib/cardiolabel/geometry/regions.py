"""Regions of masks: bounding boxes and holes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


def bounding_box(region: Mask) -> tuple[slice, slice] | None:
    """Return the rows and columns from the first to the last pixel of a mask ``(H, W)``; None where there is
    none.
    """
    rows = np.flatnonzero(region.any(axis=1))
    if rows.size == 0:
        return None
    band = slice(int(rows[0]), int(rows[-1]) + 1)
    cols = np.flatnonzero(region[band].any(axis=0))
    return band, slice(int(cols[0]), int(cols[-1]) + 1)


def filled(region: Mask) -> Mask:
    """Fill the holes of a connected region ``(H, W)``; a gap that is open only at a corner is a hole.

    >>> ring = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
    >>> bool(filled(ring).all())
    True
    """
    closed: Mask = ndimage.binary_fill_holes(region) if background_euler(region) > 0 else region
    return closed


def background_euler(mask: Mask) -> int:
    """Compute the Euler number of the 4-connected background on a plane.

    For one region that is the number of its holes.

    >>> background_euler(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool))
    1
    """
    outside = ~np.pad(mask, 1)
    across, down = outside[:, :-1] & outside[:, 1:], outside[:-1] & outside[1:]
    square = across[:-1] & across[1:]
    pixels, pairs, squares = (
        sum(int(np.count_nonzero(part)) for part in some) for some in ((outside,), (across, down), (square,))
    )
    return pixels - pairs + squares
