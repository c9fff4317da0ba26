"""One traced frame of EchoNet-Dynamic: the long axis and the diameters of 20 discs.

The rows of ``VolumeTracings.csv`` for one frame are lines ``(X1, Y1)-(X2, Y2)`` in pixels: the first is
the long axis, the others cross it at the middles of 20 discs of equal height.

References
----------
Ouyang et al. 2020, Video-based AI for beat-to-beat assessment of cardiac function,
doi 10.1038/s41586-020-2145-8; its code, https://github.com/echonet/dynamic,
``echonet/datasets/echo.py`` (``LargeTrace`` and ``SmallTrace``)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from cardiolabel.errors import DatasetError
from cardiolabel.geometry.landmarks import WALL_LEVELS, Landmarks
from cardiolabel.geometry.polygon import polygon_area

__all__ = ["DISCS", "Tracing", "tracing_from_rows"]

DISCS: Final = 20
"""Number of diameters of a traced frame."""

_MOST_SLANT = 0.3
_MOST_BEYOND = 0.1


@dataclass(frozen=True, eq=False)
class Tracing:
    """A traced frame in normal order; points are (row, col) in pixels.

    Attributes
    ----------
    axis_px : ndarray, shape (2, 2)
        The long axis: apex, then the middle of the mitral annulus.
    chords_px : ndarray, shape (20, 2, 2)
        Ends of the diameters from apex to annulus, the image's left wall before its right one.
    """

    axis_px: NDArray[np.float64]
    chords_px: NDArray[np.float64]

    @property
    def length_px(self) -> float:
        """Length of the long axis in pixels."""
        return float(np.linalg.norm(self.axis_px[1] - self.axis_px[0]))

    @property
    def diameters_px(self) -> NDArray[np.float64]:
        """Lengths of the diameters in pixels, shape (20,)."""
        return np.asarray(np.linalg.norm(self.chords_px[:, 1] - self.chords_px[:, 0], axis=1))

    @property
    def outline_px(self) -> NDArray[np.float64]:
        """Outline as in EchoNet's own code, shape (40, 2).

        It joins the ends of the diameters, and so leaves out the half discs beyond the first and the last.
        """
        return np.concatenate([self.chords_px[:, 0], self.chords_px[::-1, 1]])

    @property
    def area_px2(self) -> float:
        """Area within the outline in pixels."""
        return polygon_area(self.outline_px)

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Fill the cavity as EchoNet's own code does, shape (H, W).

        Corners are rounded to whole pixels and pixels on the outline count, so that overlaps with its
        published models can be compared. The mask is about half a pixel larger all around than the outline,
        which takes 1 to 2 points off an EF measured from such masks.
        """
        rows, cols = polygon(*np.rint(self.outline_px).astype(int).T, shape)
        filled = np.zeros(shape, dtype=np.bool_)
        filled[rows, cols] = True
        return filled

    def landmarks(self) -> Landmarks:
        """Return the seven landmarks: the apex, and wall and annulus points on straight lines between the
        diameters' ends.

        The annulus lies half a disc beyond the last diameter and continues the line through the ends of the
        last two.
        """
        at = _along(self.axis_px, self.chords_px.mean(axis=1))
        (left_apical, right_apical), (left_basal, right_basal) = (
            [_between(at, self.chords_px[:, side], level) for side in (0, 1)] for level in WALL_LEVELS
        )
        left_annulus, right_annulus = (_between(at, self.chords_px[:, side], 1.0) for side in (0, 1))
        apex = self.axis_px[0]
        points = left_annulus, left_basal, left_apical, apex, right_apical, right_basal, right_annulus
        return Landmarks(np.array(points))


def tracing_from_rows(rows: NDArray[np.float64], name: str) -> Tracing:
    """Bring the rows of one frame into normal order.

    The apex is the end of the axis with the shorter diameters.

    Parameters
    ----------
    rows : ndarray, shape (21, 4)
        X1, Y1, X2, Y2 in pixels, the long axis first.
    name : str
        What messages call the frame.

    Raises
    ------
    DatasetError
        Another number of rows, or lines that are no long axis and its diameters.
    """
    if rows.shape != (DISCS + 1, 4):
        raise DatasetError(
            f"{name}: {len(rows)} lines were traced, expected {DISCS + 1} (a long axis and {DISCS} diameters)"
        )
    lines = rows.reshape(-1, 2, 2)[:, :, ::-1]
    axis, chords = lines[0], lines[1:]
    if not np.isfinite(lines).all() or np.linalg.norm(axis[1] - axis[0]) == 0:
        raise DatasetError(f"{name}: its long axis has no length; download VolumeTracings.csv again")
    at = _along(axis, chords.mean(axis=1))
    chords = chords[np.argsort(at, kind="stable")]
    spans = chords[:, 1] - chords[:, 0]
    widths = np.linalg.norm(spans, axis=1)
    if widths[:2].sum() > widths[-2:].sum():
        axis, chords, spans = axis[::-1], chords[::-1], spans[::-1]
    along = (axis[1] - axis[0]) / np.linalg.norm(axis[1] - axis[0])
    slant = np.abs(spans @ along).sum() / max(float(widths.sum()), 1e-9)
    if slant > _MOST_SLANT or at.min() < -_MOST_BEYOND or at.max() > 1 + _MOST_BEYOND:
        raise DatasetError(f"{name}: its first line is no long axis that the others cross")
    across = np.array([-along[1], along[0]])
    across = across if across[1] >= 0 else -across
    turned = spans @ across < 0
    chords[turned] = chords[turned][:, ::-1]
    return Tracing(axis, chords)


def _along(axis: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the positions of points along the axis, 0 at its first end and 1 at its second."""
    direction = axis[1] - axis[0]
    return np.asarray((points - axis[0]) @ direction / (direction @ direction))


def _between(at: NDArray[np.float64], ends: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Return the point of one wall at a level, on the line through its two nearest diameters."""
    upper = int(np.clip(np.searchsorted(at, level), 1, len(at) - 1))
    rise = at[upper] - at[upper - 1]
    share = (level - at[upper - 1]) / rise if rise else 0.0
    return np.asarray(ends[upper - 1] + share * (ends[upper] - ends[upper - 1]))
