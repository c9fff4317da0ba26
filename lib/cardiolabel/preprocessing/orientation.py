"""Detects echo frames stored upside down from the shape of the sector.

The near field is narrow and lies at the transducer, which the networks expect at the top of the frame.
The affine of an echo file is no reliable guide to that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_NEAR_FIELD = 0.12
"""Share of the sector's depth whose median width is compared at both ends."""

_NARROWER = 0.6
"""The narrow end is at most this fraction of the wide end; chosen on CAMUS frames of both orientations."""


def is_upside_down(frame: NDArray[np.generic]) -> bool:
    """Check whether the narrow end of the sector lies at the bottom of a frame ``(H, W)``.

    False where no sector is visible, as in a rectangular image or a blank frame.
    """
    lit = frame > frame.min()
    rows = np.flatnonzero(lit.any(axis=1))
    if rows.size < 8:
        return False
    widths = _row_extents(lit[rows[0] : rows[-1] + 1])
    band = max(1, round(_NEAR_FIELD * widths.size))
    top, bottom = float(np.median(widths[:band])), float(np.median(widths[-band:]))
    return bottom < _NARROWER * top


def _row_extents(lit: NDArray[np.bool_]) -> NDArray[np.int64]:
    first = lit.argmax(axis=1)
    last = lit.shape[1] - lit[:, ::-1].argmax(axis=1)
    return np.where(lit.any(axis=1), last - first, 0)
