"""A beating left ventricle whose volume is known in closed form, and where it lies in a sector.

Every apical view cuts the ventricle in a truncated half-ellipse. With ``s`` the distance from the
annulus divided by the long-axis length (0 at the annulus midpoint, 1 at the apex), the width of
the cavity perpendicular to the long axis is ::

    d(s) = width * sqrt(1 - ((s - waist) / (1 - waist))**2)

and both views share ``waist``, the place where the cavity is widest. Simpson's biplane sum over
elliptical discs then has a limit that integrates by hand. The views may differ in length; the
longer one gives the disc height, as in the ASE/EACVI guideline.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import CAMUS_LABELS, Spacing, View

__all__ = ["Beat", "Chamber", "Heart", "Sector", "ellipsoid_volume_ml"]

Plane = NDArray[np.float32]
MAX_HALF_ANGLE_DEG, MIN_HALF_ANGLE_DEG = 45.0, 36.0
CAVITY_MARGIN_MM = 1.0
TRABECULAE_ED_MM = 0.7
"""Thickness at ED of the trabeculae that look like wall; in systole those between which blood was join them.

Guidelines count trabeculae as cavity, and so do models that were trained on such tracings.
"""


def ellipsoid_volume_ml(
    lengths_mm: tuple[float, float], widths_mm: tuple[float, float], *, waist: float
) -> float:
    """Return the volume to which Simpson's biplane sum converges for the phantom's ventricle.

    Parameters
    ----------
    lengths_mm, widths_mm : tuple of float
        Long axis and greatest width of the cavity in A4C and A2C, mm.
    waist : float
        Where the cavity is widest, as a fraction of the length from the annulus, 0 to below 0.5.

    Returns
    -------
    float
        Volume in ml.

    References
    ----------
    Lang et al. 2015, doi 10.1016/j.echo.2014.10.003, biplane method of discs: ``pi / 4`` times the
    sum of ``a_i * b_i`` times the disc height; the height is cut from the longer view.

    Examples
    --------
    >>> round(ellipsoid_volume_ml((90.0, 88.0), (50.0, 46.0), waist=0.0), 2)
    108.38
    """
    shape = 1.0 - ((1.0 - waist) ** 3 + waist**3) / (3.0 * (1.0 - waist) ** 2)
    return math.pi / 4.0 * max(lengths_mm) * widths_mm[0] * widths_mm[1] * shape / 1000.0


@dataclass(frozen=True)
class Beat:
    """Timing of the contraction: frame 1 is end-diastole, ``es_frame`` exactly end-systole.

    >>> Beat(cycle_frames=20.0, es_frame=8).state(1), Beat(cycle_frames=20.0, es_frame=8).state(8)
    ((0.0, 0.0), (1.0, 0.0))
    """

    cycle_frames: float
    es_frame: int

    def state(self, number: int) -> tuple[float, float]:
        """Return the contraction (0 at ED, 1 at ES) and opening of the mitral valve (0 to 1) at a 1-based
        frame.
        """
        frame, systole = (number - 1) % self.cycle_frames, self.es_frame - 1
        if frame <= systole:
            return 0.5 * (1.0 - math.cos(math.pi * frame / systole)), 0.0
        diastole = (frame - systole) / (self.cycle_frames - systole)
        relaxed = 0.72 * _smooth_step(diastole / 0.55) + 0.28 * _smooth_step((diastole - 0.6) / 0.4)
        return 1.0 - relaxed, math.sqrt(math.sin(math.pi * diastole))


def _smooth_step(x: float) -> float:
    clipped = min(max(x, 0.0), 1.0)
    return clipped * clipped * (3.0 - 2.0 * clipped)


@dataclass(frozen=True)
class Sector:
    """The scanner's field of view: a disc sector whose apex is the middle of the top edge.

    Raises
    ------
    ValueError
        The image has no pixels, or is too narrow for its depth to hold an apical sector.
    """

    shape: tuple[int, int]
    spacing: Spacing

    def __post_init__(self) -> None:
        if len(self.shape) != 2 or min(self.shape) < 32:
            raise ValueError(f"shape must be (rows, cols), at least 32 each, got {self.shape}")
        if self.half_angle_deg < MIN_HALF_ANGLE_DEG:
            raise ValueError(
                f"an image {self.depth_mm:.0f} mm deep must be at least "
                f"{2 * self.depth_mm * math.sin(math.radians(MIN_HALF_ANGLE_DEG)):.0f} mm wide, "
                f"got {self.shape[1] * self.spacing.col_mm:.0f} mm"
            )

    @property
    def depth_mm(self) -> float:
        """Greatest range from the transducer, mm."""
        return self.shape[0] * self.spacing.row_mm

    @property
    def half_angle_deg(self) -> float:
        """Half the opening angle; the sector fills the width of the image up to 45 degrees."""
        sine = self.shape[1] * self.spacing.col_mm / 2.0 / self.depth_mm
        return min(math.degrees(math.asin(min(sine, 1.0))), MAX_HALF_ANGLE_DEG)

    def pixel_centres_mm(self) -> tuple[Plane, Plane]:
        """Return the depth and lateral position of every pixel, mm, each of the image's shape."""
        rows, cols = self.shape
        depth = (np.arange(rows, dtype=np.float32) + 0.5) * self.spacing.row_mm
        lateral = (np.arange(cols, dtype=np.float32) + 0.5 - cols / 2) * self.spacing.col_mm
        grid = np.meshgrid(depth, lateral, indexing="ij")
        return grid[0].astype(np.float32), grid[1].astype(np.float32)

    def contains(self, depth_mm: Plane, lateral_mm: Plane, *, margin_mm: float = 0.0) -> NDArray[np.bool_]:
        """Return which points lie in the sector, at least ``margin_mm`` from its edges."""
        angle = math.radians(self.half_angle_deg)
        to_edge = depth_mm * math.sin(angle) - np.abs(lateral_mm) * math.cos(angle)
        in_range = np.hypot(depth_mm, lateral_mm) <= self.depth_mm - margin_mm
        return np.asarray(in_range & (to_edge >= margin_mm), dtype=np.bool_)


@dataclass(frozen=True)
class Chamber:
    """One view of the ventricle at one instant, placed in the sector.

    Parameters
    ----------
    apex_mm : tuple of float
        (depth, lateral) of the endocardial apex, mm.
    tilt_deg : float
        Angle of the long axis from vertical; positive puts the annulus to the right of the apex.
    length_mm, width_mm, waist : float
        Long axis, greatest width, and the widest place as a fraction of the length.
    wall_mm, atrium_mm : float
        Thickness of the myocardium; length of the left atrium below the annulus.
    trabeculae_mm : float
        Thickness of the trabeculae, which belong to the cavity and look like its wall.
    """

    apex_mm: tuple[float, float]
    tilt_deg: float
    length_mm: float
    width_mm: float
    waist: float
    wall_mm: float
    atrium_mm: float
    trabeculae_mm: float = 0.0

    @property
    def annulus_half_mm(self) -> float:
        """Half the width of the cavity at the annulus, mm."""
        return self.width_mm / 2 * math.sqrt(1.0 - (self.waist / (1.0 - self.waist)) ** 2)

    def axes_mm(self, depth_mm: Plane, lateral_mm: Plane) -> tuple[Plane, Plane]:
        """Return the heart coordinates of image points: height above the annulus (to the apex), and side.

        The side is positive towards the right of the image (the lateral wall in A4C).
        """
        sine, cosine = math.sin(math.radians(self.tilt_deg)), math.cos(math.radians(self.tilt_deg))
        down, right = depth_mm - self.apex_mm[0], lateral_mm - self.apex_mm[1]
        return self.length_mm - (down * cosine + right * sine), right * cosine - down * sine

    def beyond_cavity_mm(self, height_mm: Plane, side_mm: Plane, *, wall_mm: float = 0.0) -> Plane:
        """Return the distance outside the cavity's ellipse grown by ``wall_mm``, negative inside (to first
        order).
        """
        half, long = self.width_mm / 2 + wall_mm, (1.0 - self.waist) * self.length_mm + wall_mm
        return _beyond_ellipse(height_mm - self.waist * self.length_mm, side_mm, long, half)

    def beyond_atrium_mm(self, height_mm: Plane, side_mm: Plane) -> Plane:
        """Return the distance outside the left atrium's ellipse, negative inside (to first order)."""
        centre, long = -0.42 * self.atrium_mm, 0.58 * self.atrium_mm
        half = self.annulus_half_mm / math.sqrt(1.0 - (0.42 / 0.58) ** 2) * 0.92
        return _beyond_ellipse(height_mm - centre, side_mm, long, half)

    def masks(self, sector: Sector) -> NDArray[np.uint8]:
        """CAMUS label of every pixel centre, shape (H, W); outside the sector is background.

        Raises
        ------
        ValueError
            Part of the cavity would lie outside the sector, so that the masks would not be true.
        """
        depth, lateral = sector.pixel_centres_mm()
        height, side = self.axes_mm(depth, lateral)
        cavity = (self.beyond_cavity_mm(height, side) <= 0) & (height >= 0)
        if (cavity & ~sector.contains(depth, lateral, margin_mm=CAVITY_MARGIN_MM)).any():
            raise ValueError(
                f"the ventricle does not fit a field {sector.depth_mm:.0f} mm deep; use 130 mm or more"
            )
        wall = (self.beyond_cavity_mm(height, side, wall_mm=self.wall_mm) <= 0) & ~cavity & (height >= -3.0)
        wall &= (height >= 0) | (np.abs(side) >= self.annulus_half_mm)
        atrium = (self.beyond_atrium_mm(height, side) <= 0) & (height < 0) & ~wall
        labels = np.zeros(sector.shape, dtype=np.uint8)
        for structure, where in (("left_atrium", atrium), ("myocardium", wall), ("lv_cavity", cavity)):
            labels[where & sector.contains(depth, lateral)] = CAMUS_LABELS.value(structure)
        return labels

    def from_valve_mm(self, height_mm: Plane, side_mm: Plane, *, open_share: float) -> tuple[Plane, Plane]:
        """Return the distances to the nearest mitral leaflet and to the nearest hinge; opening 0 is shut, 1
        open.
        """
        half, swing = self.annulus_half_mm, math.radians(8.0 + 55.0 * open_share)
        leaflets, hinges = [], []
        for sign, length in ((-1.0, 1.15 * half), (1.0, 0.85 * half)):
            tip = (length * math.sin(swing) - 0.5, sign * (half - length * math.cos(swing)))
            leaflets.append(_to_segment(height_mm, side_mm, (-0.5, sign * half), tip))
            ends = (-2.0, sign * (half + 1.0)), (-0.5, sign * (half + 5.0))
            hinges.append(_to_segment(height_mm, side_mm, *ends))
        return np.minimum(*leaflets), np.minimum(*hinges)


def _beyond_ellipse(along: Plane, across: Plane, long_mm: float, half_mm: float) -> Plane:
    radius = np.hypot(along / long_mm, across / half_mm) + 1e-6
    slope = np.hypot(along / long_mm**2, across / half_mm**2) / radius + 1e-6
    return np.asarray((radius - 1.0) / slope, dtype=np.float32)


def _to_segment(height: Plane, side: Plane, start: tuple[float, float], end: tuple[float, float]) -> Plane:
    run_up, run_out = end[0] - start[0], end[1] - start[1]
    up, out = height - start[0], side - start[1]
    along = np.clip((up * run_up + out * run_out) / (run_up**2 + run_out**2), 0, 1)
    return np.asarray(np.hypot(up - along * run_up, out - along * run_out), dtype=np.float32)


@dataclass(frozen=True)
class Heart:
    """A patient's ventricle over the cycle; pairs are (A4C, A2C), lengths and widths in mm."""

    ef_pct: float
    lengths_ed_mm: tuple[float, float]
    widths_ed_mm: tuple[float, float]
    waist: float
    wall_ed_mm: float
    atrium_ed_mm: float
    apex_mm: tuple[tuple[float, float], tuple[float, float]]
    tilt_deg: tuple[float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Heart:
        """Draw a random patient: EF 20 to 70 %, weak hearts dilated, strong ones not."""
        ef_pct = float(rng.uniform(20.0, 70.0))
        dilated = min(max((45.0 - ef_pct) / 25.0, 0.0), 1.0)
        length = rng.uniform(80.0, 89.0) + 3.0 * dilated
        width = rng.uniform(44.0, 49.0) + 6.0 * dilated
        apex = tuple((float(rng.uniform(25.0, 32.0)), float(rng.uniform(-4.0, 4.0))) for _ in range(2))
        return cls(
            ef_pct=ef_pct,
            lengths_ed_mm=(float(length), float(length * rng.uniform(0.97, 1.03))),
            widths_ed_mm=(float(width), float(width * rng.uniform(0.93, 1.05))),
            waist=float(rng.uniform(0.31, 0.38)),
            wall_ed_mm=float(rng.uniform(8.0, 10.0)),
            atrium_ed_mm=float(rng.uniform(34.0, 44.0)),
            apex_mm=(apex[0], apex[1]),
            tilt_deg=(float(rng.uniform(-6.0, 10.0)), float(rng.uniform(-10.0, 8.0))),
        )

    def lengths_mm(self, contracted: float) -> tuple[float, float]:
        """Long axes in A4C and A2C, mm, at a contraction from 0 (ED) to 1 (ES)."""
        factor = 1.0 - contracted * (1.0 - (1.0 - self.ef_pct / 100.0) ** 0.22)
        return self.lengths_ed_mm[0] * factor, self.lengths_ed_mm[1] * factor

    def widths_mm(self, contracted: float) -> tuple[float, float]:
        """Return the greatest widths in A4C and A2C, mm, at a contraction from 0 (ED) to 1 (ES)."""
        factor = 1.0 - contracted * (1.0 - (1.0 - self.ef_pct / 100.0) ** 0.39)
        return self.widths_ed_mm[0] * factor, self.widths_ed_mm[1] * factor

    def volume_ml(self, contracted: float) -> float:
        """Return the exact cavity volume in ml."""
        return ellipsoid_volume_ml(self.lengths_mm(contracted), self.widths_mm(contracted), waist=self.waist)

    def chamber(self, view: View, *, contracted: float) -> Chamber:
        """Return the ventricle as A4C or A2C shows it."""
        index = (View.A4C, View.A2C).index(view)
        depth, lateral = self.apex_mm[index]
        return Chamber(
            apex_mm=(depth + 1.5 * contracted, lateral),
            tilt_deg=self.tilt_deg[index],
            length_mm=self.lengths_mm(contracted)[index],
            width_mm=self.widths_mm(contracted)[index],
            waist=self.waist,
            wall_mm=self.wall_ed_mm * (1.0 + contracted * 0.006 * self.ef_pct),
            atrium_mm=self.atrium_ed_mm * (1.0 + 0.2 * contracted),
            trabeculae_mm=TRABECULAE_ED_MM * (1.0 + 0.6 * contracted) / self._surface_share(contracted),
        )

    def _surface_share(self, contracted: float) -> float:
        """Return the endocardium's area as a share of that at ED; trabeculae keep their volume over it."""
        (length, ed_length), (width, ed_width) = (
            (of(contracted)[0], of(0.0)[0]) for of in (self.lengths_mm, self.widths_mm)
        )
        return length * width / (ed_length * ed_width)
