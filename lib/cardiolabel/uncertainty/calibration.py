"""Calibration of EF intervals by split conformal prediction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cardiolabel.errors import CorruptWeightsError

LEVEL = 0.9
"""Share of patients whose EF an interval is meant to hold."""

LEAST_PATIENTS = 20
"""Fewest patients to calibrate by; with fewer, the 90 % quantile is the largest error or does not exist."""

_COMMON_PCT = 2.0
"""Error in EF points that all masks of a model share, so that no spread shows it."""


@dataclass(frozen=True)
class Calibration:
    """Width of the EF intervals of one method and convention.

    Attributes
    ----------
    factor : float
        Half the interval's width over the spread, where masks were sampled.
    flat_pct : float
        Half the width in EF points, where none were sampled.
    level : float
        Share of patients whose EF the interval is to hold.
    patients : int
        Number of calibration patients, whom the model never saw.
    """

    factor: float
    flat_pct: float
    level: float
    patients: int

    def half_pct(self, spread_pct: float | None, *, open_share: float = 1.0) -> float:
        """Return half the interval's width in EF points.

        Parameters
        ----------
        spread_pct : float or None
            As `EfDraws.spread_pct`; None where no masks were sampled.
        open_share : float
            Share of the EF's images whose mask is a prediction.
        """
        if spread_pct is None:
            return self.flat_pct
        return self.factor * whole_spread_pct(spread_pct, open_share=open_share)

    @classmethod
    def from_card(cls, intervals: Mapping[str, Mapping[str, Any]]) -> dict[str, Calibration]:
        """Read the calibrations of a model card.

        Raises
        ------
        CorruptWeightsError
            The card's intervals have another form.
        """
        try:
            return {way: cls(**fields) for way, fields in intervals.items()}
        except TypeError as error:
            raise CorruptWeightsError(f"the model's card has intervals of another kind: {error}") from error

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-safe values, rounded."""
        return {**asdict(self), "factor": round(self.factor, 4), "flat_pct": round(self.flat_pct, 3)}


def whole_spread_pct(spread_pct: float, *, open_share: float = 1.0) -> float:
    """Combine the spread of the sampled masks with the error that no sampling shows, in EF points."""
    return math.sqrt(spread_pct**2 + open_share * _COMMON_PCT**2)


def calibrate(
    errors_pct: Sequence[float], spreads_pct: Sequence[float], *, level: float = LEVEL
) -> Calibration:
    """Find the interval widths that would have held the EFs of a share of patients (split conformal
    prediction).

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
    >>> calibrate(range(1, 40), [0.0] * 39)
    Calibration(factor=18.0, flat_pct=36.0, level=0.9, patients=39)
    """
    count = len(errors_pct)
    if count < LEAST_PATIENTS:
        raise ValueError(
            f"{count} patients are too few to calibrate by; at least {LEAST_PATIENTS} are needed"
        )
    errors = [abs(error) for error in errors_pct]
    ratios = [error / whole_spread_pct(spread) for error, spread in zip(errors, spreads_pct, strict=True)]
    place = min(count, math.ceil((count + 1) * level)) - 1
    return Calibration(float(sorted(ratios)[place]), float(sorted(errors)[place]), level, count)
