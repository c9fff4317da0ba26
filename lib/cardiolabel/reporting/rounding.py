"""Rounding of numbers in results."""

from __future__ import annotations


def rounded(value: float | None) -> float | None:
    """Return a number to 1e-4 of its unit, never -0.0.

    >>> rounded(-0.00001), rounded(None)
    (0.0, None)
    """
    return None if value is None else round(value, 4) + 0.0
