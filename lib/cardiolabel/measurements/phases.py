"""ED and ES of each beat, from a cine's cavity areas."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from cardiolabel.errors import MeasurementError

_SHORTEST_BEAT_S = 0.35
_SMOOTHING_S = 0.027
_SMOOTHING_FRAMES = 0.8
_SMOOTHING_FEW_FRAMES = 0.5
_FEW_FRAMES = 20
_SWING = 0.4
_MIN_CHANGE = 0.05
_REACHED = 0.02
_CLOSED = 0.15


@dataclass(frozen=True)
class Beat:
    """Frame indices (from 0) of one beat's end-diastole and end-systole."""

    ed: int
    es: int


def find_beats(areas: NDArray[np.float64], frame_rate_hz: float | None) -> list[Beat]:
    """Find the beats of a cine.

    End-systoles are minima of the lightly smoothed curve that swing by at least 40 % of its range;
    each beat's end-diastole is the maximum since the end-systole before. A beat is whole where the curve
    turns at both frames, or where a frame at the clip's end reaches the level at which it turns elsewhere.
    Only whole beats count. Where no beat is whole, the clip holds about one beat and may begin anywhere in
    it: ED is then the largest and ES the smallest area, in either order.

    Parameters
    ----------
    areas : ndarray, shape (T,)
        Cavity area per frame in any unit; NaN where a frame has none.
    frame_rate_hz : float or None
        Frames per second; beats closer than 0.35 s are then one. Ignored where the whole clip is shorter.

    Raises
    ------
    MeasurementError
        Fewer than two measurable frames, or areas that change by less than 5 %.

    Examples
    --------
    >>> find_beats(np.array([10.0, 8, 6, 5, 6, 8, 10, 8, 6, 5]), None)
    [Beat(ed=0, es=3), Beat(ed=6, es=9)]
    """
    measured = np.flatnonzero(np.isfinite(areas))
    if measured.size < 2:
        raise MeasurementError("a cine needs at least two frames with an LV cavity")
    curve = np.interp(np.arange(len(areas)), measured, areas[measured])
    if frame_rate_hz and len(curve) < _SHORTEST_BEAT_S * frame_rate_hz:
        frame_rate_hz = None  # too short for a beat at this rate, which is not this clip's
    smooth = _smoothed(curve, frame_rate_hz)
    swing = float(smooth.max() - smooth.min())
    if swing <= _MIN_CHANGE * float(smooth.max()):
        raise MeasurementError("the LV area changes by less than 5 % over the cine")
    noise = 2 * float(np.median(np.abs(curve - smooth)))
    gap = max(2, int(_SHORTEST_BEAT_S * frame_rate_hz)) if frame_rate_hz else 2
    beats = _whole_beats(smooth, gap, tolerance=max(_REACHED * swing, noise))
    beats = beats or [Beat(int(smooth.argmax()), int(smooth.argmin()))]
    return [Beat(_nearest(beat.ed, measured), _nearest(beat.es, measured)) for beat in beats]


def is_cut(areas: NDArray[np.float64], beat: Beat) -> bool:
    """Return whether the clip may begin or end before a beat's true ED or ES.

    That is so where either lies at an end of the clip and the two ends differ by more than 15 % of the range:
    one whole beat ends as it began.

    >>> is_cut(np.array([9.0, 8, 6, 5, 6]), Beat(0, 3))
    True
    >>> is_cut(np.array([10.0, 8, 6, 5, 6, 8, 10]), Beat(0, 3))
    False
    """
    measured = np.flatnonzero(np.isfinite(areas))
    first, last = int(measured[0]), int(measured[-1])
    swing = float(np.nanmax(areas) - np.nanmin(areas))
    is_closed = abs(float(areas[first] - areas[last])) <= _CLOSED * swing
    return not is_closed and bool({beat.ed, beat.es} & {first, last})


def _smoothed(curve: NDArray[np.float64], frame_rate_hz: float | None) -> NDArray[np.float64]:
    if len(curve) < 8:
        return curve
    frames = max(_SMOOTHING_FRAMES, _SMOOTHING_S * (frame_rate_hz or 0.0))
    if len(curve) < _FEW_FRAMES:
        frames = _SMOOTHING_FEW_FRAMES
    smooth: NDArray[np.float64] = gaussian_filter1d(curve, frames, mode="nearest")
    return smooth


def _whole_beats(smooth: NDArray[np.float64], gap: int, *, tolerance: float) -> list[Beat]:
    """Return the beats whose ED and ES are turning points, or reach the level of the clip's turning
    points.
    """
    swing = float(smooth.max() - smooth.min())
    framed = np.concatenate([[smooth.max()], smooth, [smooth.max()]])
    peaks, _ = find_peaks(-framed, prominence=_SWING * swing, distance=gap)
    minima = [int(peak) - 1 for peak in peaks]
    bounds = [0, *minima, len(smooth) - 1]
    maxima = [start + int(smooth[start : end + 1].argmax()) for start, end in pairwise(bounds)]
    top = _turning_level(smooth, maxima, tolerance)
    bottom = _turning_level(-smooth, minima, tolerance)
    return [
        Beat(ed, es)
        for ed, es in zip(maxima, minima, strict=False)  # the last maximum has no minimum
        if ed < es
        and smooth[ed] - smooth[es] >= _SWING * swing
        and (_turns(smooth, ed, tolerance) or smooth[ed] >= top - tolerance)
        and (_turns(-smooth, es, tolerance) or -smooth[es] >= bottom - tolerance)
    ]


def _turns(curve: NDArray[np.float64], peak: int, tolerance: float) -> bool:
    """Return whether a curve rises to a peak and falls again within the clip."""
    below = float(curve[peak]) - tolerance
    return bool(curve[: peak + 1].min() < below and curve[peak:].min() < below)


def _turning_level(curve: NDArray[np.float64], peaks: list[int], tolerance: float) -> float:
    """Return the median height of the peaks at which the curve turns; infinite without any."""
    levels = [float(curve[peak]) for peak in peaks if _turns(curve, peak, tolerance)]
    return float(np.median(levels)) if levels else np.inf


def _nearest(frame: int, measured: NDArray[np.intp]) -> int:
    return int(measured[np.abs(measured - frame).argmin()])
