"""Cache of frame geometries: after a correction, only changed frames are measured."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import LabelSet, Spacing
from cardiolabel.errors import MeasurementError
from cardiolabel.geometry.regions import bounding_box
from cardiolabel.measurements.geometry import LVGeometry, measure_geometry
from cardiolabel.system.file_cache import BoundedCache

_BYTES_BESIDES = 2000


class RememberedGeometry:
    """`measure_geometry` with a cache by mask, spacing and label set.

    Parameters
    ----------
    limit_bytes : int
        Those asked for last stay within it.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._kept: BoundedCache[LVGeometry | str] = BoundedCache(limit_bytes, size_of=_bytes_of)

    def clear(self) -> None:
        """Forget all geometries."""
        self._kept.clear()

    def __call__(self, mask: NDArray[np.uint8], spacing: Spacing | None, *, labels: LabelSet) -> LVGeometry:
        """As `measure_geometry`."""

        def measured() -> LVGeometry | str:
            try:
                return measure_geometry(mask, spacing, labels=labels)
            except MeasurementError as error:
                return str(error)

        geometry = self._kept.get((_content(mask), spacing, labels), measured)
        if isinstance(geometry, str):
            raise MeasurementError(geometry)
        return geometry


def _content(mask: NDArray[np.uint8]) -> Hashable:
    """Return a key that identifies a mask's content and place."""
    box = bounding_box(mask > 0)
    if box is None:
        return mask.shape
    top, left = (part.start for part in box)
    inside = mask[box]
    return mask.shape, top, left, inside.shape, hashlib.sha256(inside.tobytes()).digest()


def _bytes_of(geometry: LVGeometry | str) -> int:
    return _BYTES_BESIDES + (0 if isinstance(geometry, str) else geometry.contour_px.nbytes)
