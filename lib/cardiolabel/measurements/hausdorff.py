"""Hausdorff distance of a structure in two masks of one frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

from cardiolabel.domain import Spacing
from cardiolabel.errors import MeasurementError
from cardiolabel.geometry.regions import bounding_box
from cardiolabel.measurements.mask_shapes import check_shapes


def hausdorff_mm(
    ours: NDArray[np.uint8], theirs: NDArray[np.uint8], values: tuple[int, ...], *, spacing: Spacing | None
) -> float:
    """Compute the Hausdorff distance of a structure's boundaries in one frame, in mm.

    The largest distance from a boundary pixel of either mask to the nearest of the other, between pixel
    centres. A boundary pixel has one of its four neighbours outside the structure or beyond the image.

    Parameters
    ----------
    ours, theirs : ndarray of uint8, shape (H, W)
    values : tuple of int
        Mask values that make up the structure, as `structure_values` gives them.
    spacing : Spacing or None
        Pixel size, which may differ along rows and columns.

    Raises
    ------
    MeasurementError
        A mask does not have the structure, or there is no pixel size; the message is the reason.
    ImageContentError
        The masks differ in shape or are not (H, W).

    References
    ----------
    Huttenlocher et al. 1993, doi 10.1109/34.232073, equation 1.

    Examples
    --------
    >>> one, other = np.zeros((2, 30, 30), np.uint8)
    >>> one[5:15, 5:15] = other[5:15, 9:19] = 1  # the same square, four columns on
    >>> hausdorff_mm(one, other, (1,), spacing=Spacing(row_mm=1.0, col_mm=0.5))
    2.0
    """
    check_shapes(ours, theirs, axes=2)
    if spacing is None:
        raise MeasurementError("the file carries no pixel spacing")
    first, other = np.isin(ours, values), np.isin(theirs, values)
    window = bounding_box(first | other)
    missing = [name for name, inside in (("first", first), ("second", other)) if not inside.any()]
    if window is None or missing:
        raise MeasurementError(f"the {' and the '.join(missing)} mask does not have the structure")
    scale = np.array([spacing.row_mm, spacing.col_mm])
    ours_mm, theirs_mm = (_boundary_px(inside[window]) * scale for inside in (first, other))
    away_mm = max(KDTree(theirs_mm).query(ours_mm)[0].max(), KDTree(ours_mm).query(theirs_mm)[0].max())
    return float(away_mm)


def _boundary_px(inside: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the pixels ``(N, 2)`` of a structure that have a neighbour outside it; beyond the array is
    outside.
    """
    return np.argwhere(inside & ~binary_erosion(inside))
