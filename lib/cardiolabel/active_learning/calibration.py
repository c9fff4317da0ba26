"""From the spread of drawn EFs to an interval that holds the EF which annotators would get."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

LEAST_PATIENTS = 20
"""With fewer, the largest error of all would be the 90 % quantile, or there is none."""

_COMMON_PCT = 2.0
"""In points of EF: what all masks of a model have in common moves it too, and no spread shows that."""


@dataclass(frozen=True)
class Calibration:
    """How many spreads wide an interval is.

    Attributes
    ----------
    factor : float
        Half the interval's width over the spread.
    level : float
        Share of patients whose EF the interval is to hold.
    patients : int
        By how many patients the factor was found; the model never saw them.
    """

    factor: float
    level: float
    patients: int

    def interval_pct(
        self, ef_pct: float, spread_pct: float, *, open_share: float = 1.0
    ) -> tuple[float, float]:
        """Lower and upper end in points of EF.

        Parameters
        ----------
        ef_pct, spread_pct : float
            As measured, and as drawn, in points.
        open_share : float
            Part of the images that no person has drawn on.
        """
        half = self.factor * whole_spread_pct(spread_pct, open_share=open_share)
        return ef_pct - half, ef_pct + half

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe form."""
        return asdict(self)


def whole_spread_pct(spread_pct: float, *, open_share: float = 1.0) -> float:
    """The drawn spread and what no draw shows, in points."""
    return math.sqrt(spread_pct**2 + open_share * _COMMON_PCT**2)


def calibrate(
    errors_pct: Sequence[float], spreads_pct: Sequence[float], *, level: float = 0.9
) -> Calibration:
    """Split conformal prediction: the factor with which intervals would have held so many EFs.

    Parameters
    ----------
    errors_pct : sequence of float
        EF of a patient's predicted masks less that of the reference masks, in points.
    spreads_pct : sequence of float
        As `EfDraws.spread_pct`, of the same patients.
    level : float

    Raises
    ------
    ValueError
        Fewer than `LEAST_PATIENTS`.

    References
    ----------
    Lei et al. 2018, Distribution-free predictive inference for regression, doi 10.1080/01621459.2017.1307116.

    Examples
    --------
    >>> calibrate(range(1, 40), [0.0] * 39, level=0.9).factor
    18.0
    """
    count = len(errors_pct)
    if count < LEAST_PATIENTS:
        raise ValueError(
            f"{count} patients are too few to calibrate by; at least {LEAST_PATIENTS} are needed"
        )
    ratios = sorted(
        abs(error) / whole_spread_pct(spread) for error, spread in zip(errors_pct, spreads_pct, strict=True)
    )
    return Calibration(float(ratios[min(count, math.ceil((count + 1) * level)) - 1]), level, count)
