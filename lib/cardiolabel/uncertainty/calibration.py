"""From the spread of drawn EFs to an interval that holds the EF which annotators would get."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cardiolabel.errors import CorruptWeightsError

LEVEL = 0.9
"""Share of patients whose EF an interval is to hold."""

LEAST_PATIENTS = 20
"""With fewer, the largest error of all would be the 90 % quantile, or there is none."""

_COMMON_PCT = 2.0
"""In points of EF: what all masks of a model have in common moves it too, and no spread shows that."""


@dataclass(frozen=True)
class Calibration:
    """How wide an interval of EF is.

    Attributes
    ----------
    factor : float
        Half the interval's width over the spread, where masks were drawn.
    flat_pct : float
        Half the width in points, where none were.
    level : float
        Share of patients whose EF the interval is to hold.
    patients : int
        By how many patients this was found; the model never saw them.
    """

    factor: float
    flat_pct: float
    level: float
    patients: int

    def half_pct(self, spread_pct: float | None, *, open_share: float = 1.0) -> float:
        """Half the interval's width in points.

        Parameters
        ----------
        spread_pct : float or None
            As `EfDraws.spread_pct`; None where no masks were drawn.
        open_share : float
            Part of the EF's images that no person has drawn on.
        """
        if spread_pct is None:
            return self.flat_pct
        return self.factor * whole_spread_pct(spread_pct, open_share=open_share)

    @classmethod
    def from_card(cls, intervals: Mapping[str, Mapping[str, Any]]) -> dict[str, Calibration]:
        """As a model card has them.

        Raises
        ------
        CorruptWeightsError
            They are not calibrations.
        """
        try:
            return {way: cls(**said) for way, said in intervals.items()}
        except TypeError as error:
            raise CorruptWeightsError(f"the model's card has intervals of another kind: {error}") from error

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe form."""
        return {**asdict(self), "factor": round(self.factor, 4), "flat_pct": round(self.flat_pct, 3)}


def whole_spread_pct(spread_pct: float, *, open_share: float = 1.0) -> float:
    """The drawn spread and what no draw shows, in points."""
    return math.sqrt(spread_pct**2 + open_share * _COMMON_PCT**2)


def calibrate(
    errors_pct: Sequence[float], spreads_pct: Sequence[float], *, level: float = LEVEL
) -> Calibration:
    """Split conformal prediction: the widths with which intervals would have held so many EFs.

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
