"""Quality flags: reasons to look at a number again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from cardiolabel.measurements.geometry import LVGeometry
from cardiolabel.measurements.volume import single_plane_volume_ml, slice_summation_ml


class Flag(StrEnum):
    """A reason to look at a number again; the value is what tables show."""

    FORESHORTENING = "foreshortening"
    ANNULUS_TILT = "annulus_tilt"
    ANNULUS_FROM_SHAPE = "annulus_from_shape"
    BORDER_CONTACT = "border_contact"
    FRAGMENTS = "fragments"
    TEMPORAL_OUTLIER = "temporal_outlier"
    UNCALIBRATED = "uncalibrated"
    PHASES_FROM_AREA = "phases_from_area"
    CUT_BEAT = "cut_beat"
    UNDRAWN_FRAMES = "undrawn_frames"
    UNUSUAL_EF = "unusual_ef"
    IMPLAUSIBLE_SIZE = "implausible_size"
    SEVERAL_RECORDINGS = "several_recordings"
    DIFFERENT_GRIDS = "different_grids"
    SLICE_GAP = "slice_gap"
    SLICES_DIFFER = "slices_differ"
    APEX_MISSING = "apex_missing"


_USUAL_STEP_PCT = 80.0
"""Percentile of the changes between frames, up to which a change counts as usual."""

Range = tuple[float, float]
"""Least and most."""


@dataclass(frozen=True)
class QualityLimits:
    """Where flags start.

    ``length_difference``: share of the longer view by which A4C and A2C lengths may differ (10 % is
    common practice). ``annulus_tilt_deg``: between annulus and the perpendicular of the long axis.
    ``fragment_share``: of the cavity's pixels outside its largest component. ``temporal_share``: of
    the neighbours' area, by which a frame may leave their range. ``ef_low_pct``, ``ef_high_pct``: outside,
    an EF is seldom physiological.

    ``length_mm`` to ``elongation`` are sizes that a heart can have, from a preterm baby's to the most
    dilated adult's: long axis, widest disc, cavity area of an apical frame, volume, and long axis
    by widest disc. They tell wrong pixel sizes, not disease. In 1796 CAMUS reference masks these are
    44 to 122 mm, 12 to 89 mm, 403 to 7655 mm², 2.9 to 449 ml and 1.1 to 3.9. ``stack_area_mm2`` is the
    largest slice of a short-axis stack and ``stack_elongation`` its height by the diameter of that
    slice (0.9 to 2.9 in 54 ACDC and Sunnybrook patients).

    ``apical_share``: of the largest slice, by which the smaller end of a stack may be cut off.
    ``lost_slices``, ``lost_height_mm``: what the cavity may lose at one end from ED to ES, whichever is more
    (2 slices at most in those patients). ``least_es_height``: of the cavity's height at ED (0.73 at least).
    """

    length_difference: float = 0.10
    annulus_tilt_deg: float = 20.0
    fragment_share: float = 0.01
    temporal_share: float = 0.12
    ef_low_pct: float = 10.0
    ef_high_pct: float = 80.0
    length_mm: Range = (12.0, 145.0)
    width_mm: Range = (6.0, 115.0)
    area_mm2: Range = (60.0, 11_000.0)
    volume_ml: Range = (0.4, 650.0)
    elongation: Range = (0.7, 6.0)
    stack_area_mm2: Range = (30.0, 9_500.0)
    stack_elongation: Range = (0.35, 5.0)
    apical_share: float = 0.65
    lost_slices: float = 2.0
    lost_height_mm: float = 16.0
    least_es_height: float = 0.7


def frame_flags(geometry: LVGeometry, limits: QualityLimits) -> list[Flag]:
    """Return the flags of one frame's geometry."""
    is_raised = {
        Flag.ANNULUS_TILT: geometry.annulus_tilt_deg > limits.annulus_tilt_deg,
        Flag.ANNULUS_FROM_SHAPE: geometry.annulus_from_shape,
        Flag.BORDER_CONTACT: geometry.touches_border,
        Flag.FRAGMENTS: geometry.fragment_share > limits.fragment_share,
        Flag.UNCALIBRATED: not geometry.calibrated,
        Flag.IMPLAUSIBLE_SIZE: geometry.calibrated and not _is_plausible(geometry, limits),
    }
    return [flag for flag, raised in is_raised.items() if raised]


def is_plausible_volume(volume_ml: float, limits: QualityLimits) -> bool:
    """Return whether a left ventricle can have this volume.

    >>> is_plausible_volume(0.0955, QualityLimits()), is_plausible_volume(120.0, QualityLimits())
    (False, True)
    """
    return _within(volume_ml, limits.volume_ml)


def is_plausible_stack(
    areas_mm2: NDArray[np.float64], slice_spacing_mm: float | None, limits: QualityLimits
) -> bool:
    """Return whether a left ventricle can have slices ``(Z,)`` of these areas at this distance.

    Without a distance the largest slice alone is judged.

    >>> areas_mm2 = np.array([1500.0, 1600.0, 1500.0, 1300.0, 1000.0, 700.0, 300.0])
    >>> [is_plausible_stack(areas_mm2, apart_mm, QualityLimits()) for apart_mm in (1.0, 10.0, 100.0)]
    [False, True, False]
    """
    largest_mm2 = float(areas_mm2.max())
    if not _within(largest_mm2, limits.stack_area_mm2):
        return False
    if not slice_spacing_mm:
        return True
    height_mm = float((areas_mm2 > 0).sum()) * slice_spacing_mm
    diameter_mm = 2 * float(np.sqrt(largest_mm2 / np.pi))
    return (
        _within(height_mm, limits.length_mm)
        and _within(height_mm / diameter_mm, limits.stack_elongation)
        and is_plausible_volume(slice_summation_ml(areas_mm2, slice_spacing_mm=slice_spacing_mm), limits)
    )


def _is_plausible(geometry: LVGeometry, limits: QualityLimits) -> bool:
    width_mm = float(geometry.diameters.max())
    volume_ml = float(single_plane_volume_ml(geometry.diameters, length_mm=geometry.length))
    return (
        _within(geometry.length, limits.length_mm)
        and _within(width_mm, limits.width_mm)
        and _within(geometry.area, limits.area_mm2)
        and _within(geometry.length / max(width_mm, 1e-9), limits.elongation)
        and is_plausible_volume(volume_ml, limits)
    )


def _within(value: float, limits: Range) -> bool:
    return limits[0] <= value <= limits[1]


def is_foreshortened(a4c_mm: float, a2c_mm: float, limits: QualityLimits) -> bool:
    """Return whether the two apical lengths at one phase differ too much.

    >>> is_foreshortened(90.0, 80.0, QualityLimits())
    True
    """
    return abs(a4c_mm - a2c_mm) > limits.length_difference * max(a4c_mm, a2c_mm)


def temporal_outliers(areas: NDArray[np.float64], limits: QualityLimits) -> NDArray[np.bool_]:
    """Return the frames of a cine whose area leaves the range of the two frames before and after; never NaN.

    A frame must leave it by ``temporal_share``, and by more than the area usually changes between frames: at
    few frames per beat, ED and ES are as sharp.
    """
    if len(areas) < 5:
        return np.zeros(len(areas), dtype=bool)
    measured = np.isfinite(areas)
    if not measured.any():
        return np.zeros(len(areas), dtype=bool)
    filled = np.interp(np.arange(len(areas)), np.flatnonzero(measured), areas[measured])
    around = np.array([1, 1, 0, 1, 1], dtype=bool)
    low = minimum_filter(filled, footprint=around, mode="nearest")
    high = maximum_filter(filled, footprint=around, mode="nearest")
    outside = np.maximum(low - filled, filled - high)
    outliers: NDArray[np.bool_] = measured & (outside > limits.temporal_share * (low + high) / 2)
    steps = np.abs(np.diff(filled))
    for frame in np.flatnonzero(outliers):
        of_others = np.delete(steps, [step for step in (frame - 1, frame) if 0 <= step < len(steps)])
        outliers[frame] = outside[frame] > np.percentile(of_others, _USUAL_STEP_PCT)
    return outliers
