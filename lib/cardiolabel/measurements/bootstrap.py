"""Bootstrap intervals of figures of agreement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardiolabel.measurements.agreement import check_pairs

RESAMPLES = 2000
_TAIL = 0.025
_LEAST_DEFINED = 0.5

Interval = tuple[float, float]


@dataclass(frozen=True)
class Intervals:
    """95 % intervals of a correlation, a mean absolute difference and a bias; None where undefined."""

    r: Interval | None
    mae: Interval
    bias: Interval


def bootstrap_intervals(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Intervals:
    """Compute 95 % percentile intervals by resampling patients with replacement.

    Parameters
    ----------
    first, second : ndarray, shape (N,)
        One finite pair of values per patient; the bias is first minus second.
    seed : int
        The same seed draws the same patients.
    resamples : int
        How often N patients are drawn.

    Returns
    -------
    Intervals
        ``r`` is None where it is not defined in most of the draws, because a side does not vary.

    Raises
    ------
    MeasurementError
        Fewer than three pairs; the message is the reason.
    ValueError
        The shapes differ, or a value is not finite.

    References
    ----------
    Efron 1979, doi 10.1214/aos/1176344552.

    Examples
    --------
    >>> bootstrap_intervals(np.array([50.0, 60, 70]), np.array([48.0, 58, 68]), seed=0).bias
    (2.0, 2.0)
    """
    check_pairs(first, second, "an interval")
    drawn = np.random.default_rng(seed).integers(0, len(first), (resamples, len(first)))
    first_drawn, other = first[drawn], second[drawn]
    difference = first_drawn - other
    return Intervals(
        r=_interval(_correlations(first_drawn, other)),
        mae=_percentiles(np.abs(difference).mean(axis=1)),
        bias=_percentiles(difference.mean(axis=1)),
    )


def _correlations(first: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Pearson's r of each row; NaN where a side does not vary."""
    varies = (np.ptp(first, axis=1) > 0) & (np.ptp(other, axis=1) > 0)
    a, b = (side - side.mean(axis=1, keepdims=True) for side in (first, other))
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    correlations: NDArray[np.float64] = np.full(len(first), np.nan)
    correlations[varies] = (a * b).sum(axis=1)[varies] / size[varies]
    return correlations


def _interval(values: NDArray[np.float64]) -> Interval | None:
    defined = values[np.isfinite(values)]
    return _percentiles(defined) if len(defined) > _LEAST_DEFINED * len(values) else None


def _percentiles(values: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(values, [_TAIL, 1 - _TAIL])
    return float(low), float(high)
