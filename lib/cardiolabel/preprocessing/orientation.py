"""Which way up an echo frame is, read from the sector itself.

The near field of an apical sector is narrow and lies at the transducer, which the networks expect
at the top. Affine signs of echo files cannot be trusted to say so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_NEAR_FIELD = 0.12
_NARROWER = 0.6


def is_upside_down(frame: NDArray[np.generic]) -> bool:
    """Whether the sector's narrow end lies at the bottom of a frame ``(H, W)``.

    False where no sector is visible (a rectangular picture, a blank frame).
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
