"""Parsing of numbers in text, within the range that makes sense for them."""

from __future__ import annotations

import math
from collections.abc import Callable


def real(low: float, high: float) -> Callable[[str], float]:
    """Make a parser of finite numbers in ``low..high``; it raises ValueError for any other text.

    >>> real(0, 100)("54.5")
    54.5
    """

    def understand(text: str) -> float:
        value = float(text)
        if not (math.isfinite(value) and low <= value <= high):
            raise ValueError(text)
        return value

    return understand


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Make a parser of whole numbers from ``low``, up to ``high`` if given; ``18.0`` counts, else ValueError.

    >>> whole(1)("18.0")
    18
    """

    def understand(text: str) -> int:
        value = float(text)
        if not (value.is_integer() and low <= value <= (math.inf if high is None else high)):
            raise ValueError(text)
        return int(value)

    return understand
