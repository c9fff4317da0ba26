"""Landmarks of reference masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import CAMUS_LABELS, Spacing
from cardiolabel.geometry.landmarks import WALL_LEVELS, Landmarks
from cardiolabel.measurements.geometry import DISC_COUNT, measure_geometry


def landmarks_of_mask(mask: NDArray[np.uint8], spacing: Spacing | None) -> Landmarks:
    """Find the seven landmarks of the LV cavity in a mask of an apical view.

    Apex and annulus are those of the volume measurements; in a mask of the cavity alone the annulus is the
    flat side. Wall points lie between the ends of the two nearest of 20 discs.

    Parameters
    ----------
    mask : ndarray of uint8, shape (H, W)
        CAMUS's values; of other structures than the cavity any may be missing.
    spacing : Spacing or None
        Pixel size in mm, which tells what is perpendicular; None takes pixels for square.

    Raises
    ------
    MeasurementError
        The cavity is missing, tiny, or has no base; the message is the reason.
    ImageContentError
        The cavity is so narrow that two landmarks are one point.

    Examples
    --------
    >>> rows, cols = np.mgrid[:60, :60]
    >>> mask = ((((rows - 50) / 40) ** 2 + ((cols - 30) / 15) ** 2 < 1) & (rows < 50)).astype(np.uint8)
    >>> found = landmarks_of_mask(mask, Spacing(row_mm=0.5, col_mm=0.5))
    >>> found.point_px("annulus_left"), found.point_px("annulus_right")
    (array([49.5, 16. ]), array([49.5, 44. ]))
    """
    geometry = measure_geometry(mask, spacing, labels=CAMUS_LABELS)
    scale = np.array([spacing.row_mm, spacing.col_mm] if spacing else [1.0, 1.0])
    annulus, apex, discs = (
        points * scale for points in (geometry.annulus_px, geometry.apex_px, geometry.discs_px)
    )
    axis = apex - annulus.mean(axis=0)
    across = np.array([-axis[1], axis[0]])
    across = across if across[1] >= 0 else -across  # towards the image's right
    annulus = annulus[np.argsort(annulus @ across)]
    order = np.argsort(discs @ across, axis=1)
    discs = np.take_along_axis(discs, order[..., None], axis=1)
    left, right = ([_wall_point(discs[:, side], level) for level in WALL_LEVELS] for side in (0, 1))
    return Landmarks(np.stack([annulus[0], *left[::-1], apex, *right, annulus[1]]) / scale)


def _wall_point(wall: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Return a wall point, from the ends ``(20, 2)`` of the discs' middles from annulus to apex."""
    middles = 1 - (np.arange(DISC_COUNT) + 0.5) / DISC_COUNT
    return np.array([np.interp(level, middles[::-1], places[::-1]) for places in wall.T])
