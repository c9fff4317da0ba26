"""Bland-Altman agreement of paired values: bias and limits of agreement."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from cardiolabel.errors import MeasurementError

MIN_PAIRS = 3
"""Fewest pairs from which the spread of differences is estimated."""

_LIMIT_SD = 1.96
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Agreement:
    """Agreement of paired values of one unit, first minus second.

    ``r`` is Pearson's, None where either side does not vary; ``mae`` the mean absolute difference; ``bias``
    and ``sd`` are mean and sample standard deviation of the differences.
    """

    count: int
    r: float | None
    mae: float
    bias: float
    sd: float

    @property
    def limits(self) -> tuple[float, float]:
        """Lower and upper 95 % limits of agreement, ``bias ± 1.96 SD``."""
        return self.bias - _LIMIT_SD * self.sd, self.bias + _LIMIT_SD * self.sd

    @property
    def bias_margin(self) -> float:
        """Half the width of the 95 % confidence interval of the bias."""
        return self._t * self.sd / math.sqrt(self.count)

    @property
    def limit_margin(self) -> float:
        """Half the width of the 95 % confidence interval of either limit, from ``SE = sqrt(3/n) SD``."""
        return self._t * self.sd * math.sqrt(3 / self.count)

    @property
    def _t(self) -> float:
        return float(stdtrit(self.count - 1, (1 + _CONFIDENCE) / 2))


def agreement(
    first: NDArray[np.float64], second: NDArray[np.float64], *, cases: str = "pairs of values"
) -> Agreement:
    """Compute the agreement of paired values.

    Parameters
    ----------
    first, second : ndarray, shape (N,)
        Finite values of one unit; the bias is first minus second.
    cases : str
        What the pairs are, for the reason.

    Raises
    ------
    MeasurementError
        Fewer than three pairs; the message is the reason.
    ValueError
        The shapes differ, or a value is not finite.

    References
    ----------
    Bland and Altman 1986, doi 10.1016/S0140-6736(86)90837-8.

    Examples
    --------
    >>> found = agreement(np.array([50.0, 60, 70]), np.array([52.0, 60, 68]))
    >>> found.mae, found.limits
    (1.3333333333333333, (-3.92, 3.92))
    """
    check_pairs(first, second, "agreement", cases)
    difference = first - second
    varies = np.ptp(first) > 0 and np.ptp(second) > 0
    return Agreement(
        count=len(difference),
        r=float(np.corrcoef(first, second)[0, 1]) if varies else None,
        mae=float(np.abs(difference).mean()),
        bias=float(difference.mean()),
        sd=float(difference.std(ddof=1)),
    )


def check_pairs(
    first: NDArray[np.float64], second: NDArray[np.float64], what: str, cases: str = "pairs"
) -> None:
    """Refuse pairs of values that have no agreement to compute.

    Parameters
    ----------
    first, second : ndarray, shape (N,)
    what, cases : str
        What is to be found, and what the pairs are, for the message.

    Raises
    ------
    MeasurementError
        Fewer than three pairs.
    ValueError
        The shapes differ, or a value is not finite.
    """
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"{what} takes two rows of equal length, got {first.shape} and {second.shape}")
    if len(first) < MIN_PAIRS:
        raise MeasurementError(f"{what} needs at least {MIN_PAIRS} {cases}, found {len(first)}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError(f"{what} takes finite values; leave out pairs where one is missing")
