"""Flags that say why a number deserves a second look."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from cardiolabel.measurements.geometry import LVGeometry


class Flag(StrEnum):
    """A reason to look again; the value is what tables show."""

    FORESHORTENING = "foreshortening"
    ANNULUS_TILT = "annulus_tilt"
    ANNULUS_FROM_SHAPE = "annulus_from_shape"
    BORDER_CONTACT = "border_contact"
    FRAGMENTS = "fragments"
    TEMPORAL_OUTLIER = "temporal_outlier"
    UNCALIBRATED = "uncalibrated"
    PHASES_FROM_AREA = "phases_from_area"
    UNUSUAL_EF = "unusual_ef"


@dataclass(frozen=True)
class QualityLimits:
    """Where flags start.

    ``length_difference``: share of the longer view by which A4C and A2C lengths may differ (10 % is
    common practice). ``annulus_tilt_deg``: between annulus and the perpendicular of the long axis.
    ``fragment_share``: of the cavity's pixels outside its largest component. ``temporal_share``: of
    the neighbours' area, by which a frame may leave their range. ``ef_low_pct``, ``ef_high_pct``: outside,
    an EF is seldom physiological.
    """

    length_difference: float = 0.10
    annulus_tilt_deg: float = 20.0
    fragment_share: float = 0.01
    temporal_share: float = 0.12
    ef_low_pct: float = 10.0
    ef_high_pct: float = 80.0


def frame_flags(geometry: LVGeometry, limits: QualityLimits) -> list[Flag]:
    """Flags of one frame's geometry."""
    found = {
        Flag.ANNULUS_TILT: geometry.annulus_tilt_deg > limits.annulus_tilt_deg,
        Flag.ANNULUS_FROM_SHAPE: geometry.annulus_from_shape,
        Flag.BORDER_CONTACT: geometry.touches_border,
        Flag.FRAGMENTS: geometry.fragment_share > limits.fragment_share,
        Flag.UNCALIBRATED: not geometry.calibrated,
    }
    return [flag for flag, raised in found.items() if raised]


def is_foreshortened(a4c_mm: float, a2c_mm: float, limits: QualityLimits) -> bool:
    """Whether the two apical lengths at one phase differ too much.

    >>> is_foreshortened(90.0, 80.0, QualityLimits())
    True
    """
    return abs(a4c_mm - a2c_mm) > limits.length_difference * max(a4c_mm, a2c_mm)


def temporal_outliers(areas: NDArray[np.float64], limits: QualityLimits) -> NDArray[np.bool_]:
    """Frames of a cine whose area leaves the range of the two frames before and after; never NaN."""
    if len(areas) < 5:
        return np.zeros(len(areas), dtype=bool)
    known = np.isfinite(areas)
    if not known.any():
        return np.zeros(len(areas), dtype=bool)
    filled = np.interp(np.arange(len(areas)), np.flatnonzero(known), areas[known])
    around = np.array([1, 1, 0, 1, 1], dtype=bool)
    low = minimum_filter(filled, footprint=around, mode="nearest")
    high = maximum_filter(filled, footprint=around, mode="nearest")
    outside = np.maximum(low - filled, filled - high)
    outliers: NDArray[np.bool_] = known & (outside > limits.temporal_share * (low + high) / 2)
    return outliers
