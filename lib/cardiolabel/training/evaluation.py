"""How good masks and EFs are against references."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def dice(predicted: NDArray[np.uint8], reference: NDArray[np.uint8], values: tuple[int, ...]) -> float:
    """Dice overlap of the union of label values; NaN where neither mask has any of them.

    Parameters
    ----------
    predicted, reference : ndarray of uint8, the same shape
    values : tuple of int
        Label values that make up the structure; the epicardium is cavity and myocardium together.

    References
    ----------
    Dice 1945, doi 10.2307/1932409.

    Examples
    --------
    >>> dice(np.array([1, 1, 0], np.uint8), np.array([1, 0, 0], np.uint8), (1,))
    0.6666666666666666
    """
    ours, theirs = np.isin(predicted, values), np.isin(reference, values)
    total = int(ours.sum()) + int(theirs.sum())
    return 2 * int((ours & theirs).sum()) / total if total else float("nan")


@dataclass(frozen=True)
class Agreement:
    """Predicted against reference values of one unit: Pearson r, mean absolute error, bias, SD."""

    count: int
    r: float
    mae: float
    bias: float
    sd: float


def agreement(predicted: NDArray[np.float64], reference: NDArray[np.float64]) -> Agreement:
    """Agreement of paired values ``(N,)``; bias is predicted minus reference, SD that of differences.

    Raises
    ------
    ValueError
        Fewer than three pairs.

    References
    ----------
    Bland and Altman 1986, doi 10.1016/S0140-6736(86)90837-8.

    Examples
    --------
    >>> agreement(np.array([50.0, 60, 70]), np.array([52.0, 60, 68])).mae
    1.3333333333333333
    """
    if len(predicted) < 3:
        raise ValueError(f"agreement needs at least three pairs, got {len(predicted)}")
    difference = predicted - reference
    return Agreement(
        count=len(difference),
        r=float(np.corrcoef(predicted, reference)[0, 1]),
        mae=float(np.abs(difference).mean()),
        bias=float(difference.mean()),
        sd=float(difference.std(ddof=1)),
    )
