"""Geometry of one LV cavity: area, annulus, apex, long axis and disc diameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import LabelSet, Spacing
from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.annulus import find_hinges
from cardiolabel.measurements.contour import BEYOND_IMAGE, across_gap, trace_cavity

DISC_COUNT = 20
_CHORDS_PER_DISC = 5
_SAME_DISTANCE = 1e-9
_ACROSS = 0.7


@dataclass(frozen=True, eq=False)
class LVGeometry:
    """Geometry of one frame's LV cavity.

    ``area`` is in mm², ``length`` and ``diameters`` in mm; all are in pixels where ``calibrated`` is False.
    Points are (row, col) in pixels. ``annulus_px`` holds the two hinge points, ``diameters`` the mean cavity
    width within each of 20 discs from annulus to apex, ``discs_px (20, 2, 2)`` the ends of
    the chord through each disc's middle. ``annulus_tilt_deg`` is the angle between the annulus and
    the perpendicular to the long axis.
    """

    contour_px: NDArray[np.float64]
    annulus_px: NDArray[np.float64]
    apex_px: NDArray[np.float64]
    area: float
    length: float
    diameters: NDArray[np.float64]
    discs_px: NDArray[np.float64]
    annulus_tilt_deg: float
    annulus_from_shape: bool
    touches_border: bool
    fragment_count: int
    fragment_share: float
    calibrated: bool


def measure_geometry(mask: NDArray[np.uint8], spacing: Spacing | None, *, labels: LabelSet) -> LVGeometry:
    """Measure the LV cavity of one frame.

    The annulus is where cavity and atrium meet; without an atrium it joins the ends of the cavity's flat
    side, which the myocardium leaves open. Neither the image's border nor an unlabelled wall is a base. The
    apex is the contour point farthest from the annulus midpoint. 20 discs of equal height are stacked along
    the line between them.

    Parameters
    ----------
    mask : ndarray of uint8, shape (H, W)
        Label values.
    spacing : Spacing or None
        Pixel size in mm; None measures in pixels.
    labels : LabelSet
        Must name ``lv_cavity``; ``myocardium`` and ``left_atrium`` are used where named.

    Raises
    ------
    MeasurementError
        The cavity is missing, tiny, or has no base; the message is the reason.

    References
    ----------
    Lang et al. 2015, ASE/EACVI chamber quantification, section on LV volumes,
    doi 10.1016/j.echo.2014.10.003.

    Examples
    --------
    >>> mask = np.zeros((60, 40), np.uint8)
    >>> mask[10:50, 10:30] = 1
    >>> g = measure_geometry(mask, Spacing(1.0, 1.0), labels=LabelSet("lv", (("lv_cavity", 1),)))
    >>> g.area
    800.0
    """
    cavity = trace_cavity(mask, labels.value("lv_cavity"))
    scale = np.array([spacing.row_mm, spacing.col_mm] if spacing else [1.0, 1.0])
    contour = cavity.contour * scale
    myocardium, atrium = (
        labels.value(name) if labels.has(name) else None for name in ("myocardium", "left_atrium")
    )
    outside = cavity.outside
    if atrium is not None and not (outside == atrium).any():
        outside = across_gap(cavity, mask, atrium, scale_mm=scale)
    (first, last), from_shape = find_hinges(contour, outside, myocardium=myocardium, atrium=atrium)
    annulus = contour[[first, last]]
    base = annulus.mean(axis=0)
    apex = _apex(contour, base, outside == BEYOND_IMAGE)
    length = float(np.linalg.norm(apex - base))
    width = float(np.linalg.norm(annulus[1] - annulus[0]))
    if width <= 0:
        raise MeasurementError("the mitral annulus has no width")
    axis = (apex - base) / length
    diameters, discs = _discs(contour, base, axis=axis, length=length)
    sine = abs(float((annulus[1] - annulus[0]) @ axis)) / width
    return LVGeometry(
        contour_px=cavity.contour,
        annulus_px=annulus / scale,
        apex_px=apex / scale,
        area=cavity.pixel_count * float(scale.prod()),
        length=length,
        diameters=diameters,
        discs_px=discs / scale,
        annulus_tilt_deg=float(np.degrees(np.arcsin(min(1.0, sine)))),
        annulus_from_shape=from_shape,
        touches_border=cavity.touches_border,
        fragment_count=cavity.fragment_count,
        fragment_share=cavity.fragment_share,
        calibrated=spacing is not None,
    )


def _apex(
    contour: NDArray[np.float64], base: NDArray[np.float64], on_border: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the contour point farthest from the base; where the image cuts off the apex, the middle of the
    cut.
    """
    distances = np.linalg.norm(contour - base, axis=1)
    # Of points that are equally far the first, in every unit: rounding must not choose.
    farthest = int(np.flatnonzero(distances >= (1 - _SAME_DISTANCE) * distances.max())[0])
    apex: NDArray[np.float64] = contour[farthest]
    near = np.arange(farthest - 2, farthest + 3) % len(contour)
    if on_border.all() or not on_border[near].any():
        return apex
    at = int(near[on_border[near]][0])
    first = last = at
    while on_border[(first - 1) % len(on_border)]:
        first -= 1
    while on_border[(last + 1) % len(on_border)]:
        last += 1
    cut = contour[[first % len(on_border), last % len(on_border)]]
    chord, axis = cut[1] - cut[0], apex - base
    is_across = abs(float(chord @ axis)) < _ACROSS * float(np.linalg.norm(chord) * np.linalg.norm(axis))
    return np.asarray(cut.mean(axis=0)) if is_across else apex


def _discs(
    contour: NDArray[np.float64],
    base: NDArray[np.float64],
    *,
    axis: NDArray[np.float64],
    length: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean width (20,) of each disc and the ends (20, 2, 2) of its middle chord."""
    across = np.array([-axis[1], axis[0]])
    local = (contour - base) @ np.stack([axis, across], axis=1)
    here, following = local, np.roll(local, -1, axis=0)
    count = DISC_COUNT * _CHORDS_PER_DISC
    levels = (np.arange(count) + 0.5) * length / count
    crosses = (here[:, 0] > levels[:, None]) != (following[:, 0] > levels[:, None])
    level, edge = np.nonzero(crosses)
    rise = following[edge, 0] - here[edge, 0]
    at = here[edge, 1] + (levels[level] - here[edge, 0]) / rise * (following[edge, 1] - here[edge, 1])
    order = np.lexsort((at, level))
    level, at = level[order], at[order]
    widths = np.bincount(level[::2], at[1::2] - at[::2], minlength=count)
    diameters = widths.reshape(DISC_COUNT, _CHORDS_PER_DISC).mean(axis=1)
    low, high = np.zeros(count), np.zeros(count)
    np.minimum.at(low, level, at)
    np.maximum.at(high, level, at)
    middle = np.arange(DISC_COUNT) * _CHORDS_PER_DISC + _CHORDS_PER_DISC // 2
    centres = base + levels[middle, None] * axis
    ends = np.stack([centres + low[middle, None] * across, centres + high[middle, None] * across], 1)
    return diameters, ends
