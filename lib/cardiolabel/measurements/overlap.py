"""Overlap of a structure in two masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardiolabel.measurements.mask_shapes import check_shapes


def dice(ours: NDArray[np.uint8], theirs: NDArray[np.uint8], values: tuple[int, ...]) -> float:
    """Compute the Dice overlap of the union of label values; NaN where neither mask has any of them.

    Parameters
    ----------
    ours, theirs : ndarray of uint8, the same shape
    values : tuple of int
        Mask values that make up the structure, as `structure_values` gives them.

    Raises
    ------
    ImageContentError
        The masks differ in shape.

    References
    ----------
    Dice 1945, doi 10.2307/1932409.

    Examples
    --------
    >>> dice(np.array([1, 1, 0], np.uint8), np.array([1, 0, 0], np.uint8), (1,))
    0.6666666666666666
    """
    check_shapes(ours, theirs, axes=None)
    first, other = np.isin(ours, values), np.isin(theirs, values)
    total = int(first.sum()) + int(other.sum())
    return 2 * int((first & other).sum()) / total if total else float("nan")
