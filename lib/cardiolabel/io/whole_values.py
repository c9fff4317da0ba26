"""Label values: whole numbers in any number type of a file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardiolabel.errors import ImageContentError

_ROUNDING = 1e-3


def whole_values(masks: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    """Return label values as uint8, also where a scale factor left a rounding error.

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
    values = np.empty(masks.shape, dtype=np.uint8)
    for part, of_part in zip(np.atleast_2d(masks), np.atleast_2d(values), strict=True):
        _round(part, of_part, name)  # frame by frame: in float64, a long cine is large
    return values


def _round(part: NDArray[np.generic], values: NDArray[np.uint8], name: str) -> None:
    with np.errstate(invalid="ignore"):
        exact = part.astype(np.float64) if part.dtype.kind == "f" else None
        nearest = part if exact is None else np.rint(exact)
        values[...] = nearest.astype(np.uint8)
    if not np.array_equal(values, nearest):
        raise ImageContentError(f"{name}: mask values must be whole numbers in 0..255")
    off = np.zeros(1) if exact is None else np.abs(exact - values)
    if off.max(initial=0.0) > _ROUNDING:
        worst = part.ravel()[int(off.argmax())]
        raise ImageContentError(f"{name}: mask values must be whole numbers in 0..255, one is {worst:.6g}")
