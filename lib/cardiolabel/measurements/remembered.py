"""Geometry of frames that were measured before: after a correction, only what it changed is measured."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from cardiolabel.cache import BoundedCache
from cardiolabel.domain import LabelSet, Spacing
from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.geometry import LVGeometry, measure_geometry

_BYTES_BESIDES = 2000


class RememberedGeometry:
    """`measure_geometry`, which answers from memory for a mask, spacing and label set that it has seen.

    Parameters
    ----------
    limit_bytes : int
        Those asked for last stay within it.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._kept: BoundedCache[LVGeometry | str] = BoundedCache(limit_bytes, size_of=_bytes_of)

    def __call__(self, mask: NDArray[np.uint8], spacing: Spacing | None, *, labels: LabelSet) -> LVGeometry:
        """As `measure_geometry`."""

        def measured() -> LVGeometry | str:
            try:
                return measure_geometry(mask, spacing, labels=labels)
            except MeasurementError as error:
                return str(error)

        pixels = hashlib.blake2b(mask.tobytes(), digest_size=16).digest()
        found = self._kept.get((pixels, mask.shape, mask.dtype.str, spacing, labels), measured)
        if isinstance(found, str):
            raise MeasurementError(found)
        return found


def _bytes_of(kept: LVGeometry | str) -> int:
    return _BYTES_BESIDES + (0 if isinstance(kept, str) else kept.contour_px.nbytes)
