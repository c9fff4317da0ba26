"""Frames of a cine that are not evenly spaced in time."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["uneven_spacing"]

_UNEVEN = 1.5
"""Ratio of the longest to the shortest step from which the mean rate alone would mislead."""


def uneven_spacing(steps_ms: Sequence[float]) -> str:
    """Return what to know of the times between frames; nothing where they are about the same.

    Parameters
    ----------
    steps_ms : sequence of float
        Times between frames in ms.

    Examples
    --------
    >>> uneven_spacing([33.3, 33.4, 33.3])
    ''
    >>> uneven_spacing([20, 20, 60, 20])
    'its frames are 20 to 60 ms apart; their mean rate, 33.3 Hz, is used'
    """
    total_ms = sum(steps_ms)
    if not total_ms > 0 or max(steps_ms) < _UNEVEN * min(steps_ms):
        return ""
    rate_hz = 1000.0 * len(steps_ms) / total_ms
    low, high = min(steps_ms), max(steps_ms)
    return f"its frames are {low:.3g} to {high:.3g} ms apart; their mean rate, {rate_hz:.1f} Hz, is used"
