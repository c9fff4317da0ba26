"""Label values, which are whole numbers, from whatever number type a file keeps them in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardiolabel.errors import ImageContentError

_ROUNDING = 1e-3


def whole_values(masks: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    """Label values as uint8; also those that a scale factor left a rounding error beside a whole number.

    Parameters
    ----------
    masks : ndarray
    name : str
        The file, for messages.

    Raises
    ------
    ImageContentError
        Values that are no whole numbers in 0..255.

    Examples
    --------
    >>> whole_values(np.array([0.0, 0.9999999, 3.0]), "mask.nii.gz")
    array([0, 1, 3], dtype=uint8)
    """
    if masks.dtype.kind not in "uif":
        raise ImageContentError(f"{name}: a mask must be numeric, not {masks.dtype}")
    is_float = masks.dtype.kind == "f"
    nearest = np.rint(masks.astype(np.float64)) if is_float else masks
    with np.errstate(invalid="ignore"):
        values = nearest.astype(np.uint8)
    if not np.array_equal(values, nearest):
        raise ImageContentError(f"{name}: mask values must be whole numbers in 0..255")
    off = np.abs(masks.astype(np.float64) - nearest.astype(np.float64)) if is_float else np.zeros(1)
    if off.max(initial=0.0) > _ROUNDING:
        worst = masks.ravel()[int(off.argmax())]
        raise ImageContentError(f"{name}: mask values must be whole numbers in 0..255, one is {worst:.6g}")
    return values
