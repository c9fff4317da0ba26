"""ED and ES of each beat from a cine's cavity areas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from cardiolabel.errors import MeasurementError

_SHORTEST_BEAT_S = 0.35
_SWING = 0.4
_MIN_CHANGE = 0.05
_WHOLE_SWING = 0.8


@dataclass(frozen=True)
class Beat:
    """Frame indices (from 0) of one beat's end-diastole and end-systole."""

    ed: int
    es: int


def find_beats(areas: NDArray[np.float64], frame_rate_hz: float | None) -> list[Beat]:
    """Find the beats of a cine.

    End-systoles are minima of the lightly smoothed curve that swing by at least 40 % of its range;
    each beat's end-diastole is the maximum since the end-systole before. A clip without a maximum
    before a minimum (it starts in systole and ends in diastole) is one beat of its extremes. A beat
    that the clip cuts, so that it swings by less than 80 % of the range, counts only where no other
    does.

    Parameters
    ----------
    areas : ndarray, shape (T,)
        Cavity area per frame in any unit; NaN where a frame has none.
    frame_rate_hz : float or None
        Frames per second; beats closer than 0.35 s are then one.

    Raises
    ------
    MeasurementError
        Fewer than two measurable frames, or areas that change by less than 5 %.

    Examples
    --------
    >>> find_beats(np.array([10.0, 8, 6, 5, 6, 8, 10, 8, 6, 5]), None)
    [Beat(ed=0, es=3), Beat(ed=6, es=9)]
    """
    known = np.flatnonzero(np.isfinite(areas))
    if known.size < 2:
        raise MeasurementError("a cine needs at least two frames with an LV cavity")
    curve = np.interp(np.arange(len(areas)), known, areas[known])
    smooth = gaussian_filter1d(curve, 0.8, mode="nearest") if len(curve) >= 8 else curve
    swing = float(smooth.max() - smooth.min())
    if swing <= _MIN_CHANGE * float(smooth.max()):
        raise MeasurementError("the LV area changes by less than 5 % over the cine")
    gap = max(2, int(_SHORTEST_BEAT_S * frame_rate_hz)) if frame_rate_hz else 2
    framed = np.concatenate([[smooth.max()], smooth, [smooth.max()]])
    minima, _ = find_peaks(-framed, prominence=_SWING * swing, distance=gap)
    beats: list[Beat] = []
    start = 0
    for es in (int(m) - 1 for m in minima):
        if es > start:
            ed = start + int(smooth[start : es + 1].argmax())
            if smooth[ed] - smooth[es] >= _SWING * swing:
                beats.append(Beat(ed, es))
        start = es
    last = len(smooth) - 1
    whole = [
        beat
        for beat in beats
        if (beat.ed > 0 and beat.es < last) or smooth[beat.ed] - smooth[beat.es] >= _WHOLE_SWING * swing
    ]
    found = whole or beats or [Beat(int(smooth.argmax()), int(smooth.argmin()))]
    return [Beat(_snap(beat.ed, known), _snap(beat.es, known)) for beat in found]


def _snap(frame: int, known: NDArray[np.intp]) -> int:
    return int(known[np.abs(known - frame).argmin()])
