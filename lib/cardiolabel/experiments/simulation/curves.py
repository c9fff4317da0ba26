"""Learning curves of strategies, and their comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from cardiolabel.experiments.simulation.simulate import FULL, Outcome

_DRAWS = 2000
_TAIL = 0.025

Value = Callable[[Outcome], Mapping[str, float]]


def lv_dice(outcome: Outcome) -> Mapping[str, float]:
    """Return the Dice of the LV cavity by patient."""
    return outcome.lv_dice


def ef_error_pct(outcome: Outcome) -> Mapping[str, float]:
    """Return the absolute error of EF by patient."""
    return outcome.ef_error_pct


@dataclass(frozen=True)
class Mean:
    """Mean over seeds and patients, with a 95 % interval by drawing patients and seeds again."""

    value: float
    low: float
    high: float


def mean(outcomes: Sequence[Outcome], value: Value) -> Mean:
    """Average outcomes of one strategy and budget, one per seed."""
    table = _table([value(outcome) for outcome in outcomes])
    drawn = _resampled(table)
    return Mean(float(np.nanmean(table)), *_ends(drawn))


def area_gain(
    outcomes: Sequence[Outcome], strategy: str, other: str, value: Value
) -> tuple[Mean, tuple[float, ...]] | None:
    """Return by how much a strategy's area under the learning curve exceeds another's.

    The area is by trapezoids and divided by the budgets' range, so that it has the unit of ``value``. Paired:
    the same seeds and the same evaluation patients.

    Returns
    -------
    tuple or None
        The gain, and that of each seed; None where the two have no two budgets in common in any seed.
    """
    gains = []
    budgets: dict[str, dict[int, dict[int, Outcome]]] = {strategy: {}, other: {}}
    for outcome in outcomes:
        if outcome.strategy in budgets:
            budgets[outcome.strategy].setdefault(outcome.seed, {})[outcome.patients] = outcome
    for seed in sorted(set(budgets[strategy]) & set(budgets[other])):
        ours, theirs = budgets[strategy][seed], budgets[other][seed]
        shared = sorted(set(ours) & set(theirs))
        if len(shared) < 2:
            continue
        both = _table([value(side[budget]) for side in (ours, theirs) for budget in shared])
        first, second = np.split(both, 2)
        gains.append(trapezoid(first - second, shared, axis=0) / (shared[-1] - shared[0]))
    if not gains:
        return None
    table = np.stack(gains)
    each = tuple(float(np.nanmean(row)) for row in table)
    return Mean(float(np.nanmean(table)), *_ends(_resampled(table))), each


def enough(
    outcomes: Sequence[Outcome], strategy: str, *, dice_share: float = 0.98, ef_pct: float = 0.5
) -> int | None:
    """Return the fewest labelled patients with which a strategy is as good as all patients; None if it never
    is.

    As good: this share of the LV Dice of all patients, and an EF error larger by at most this many points;
    means over seeds.
    """
    full = [outcome for outcome in outcomes if outcome.strategy == FULL]
    if not full:
        return None
    dice, error = mean(full, lv_dice).value, mean(full, ef_error_pct).value
    for budget in sorted({outcome.patients for outcome in outcomes if outcome.strategy == strategy}):
        own = [outcome for outcome in outcomes if outcome.strategy == strategy and outcome.patients == budget]
        if mean(own, lv_dice).value >= dice_share * dice and mean(own, ef_error_pct).value <= error + ef_pct:
            return budget
    return None


def _table(values: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
    """Return one row per outcome, one column per patient; NaN where a patient has no value."""
    patients = sorted({patient for value in values for patient in value})
    return np.array([[value.get(patient, np.nan) for patient in patients] for value in values])


def _resampled(table: NDArray[np.float64]) -> NDArray[np.float64]:
    generator = np.random.default_rng(0)
    rows, columns = table.shape
    drawn = [
        np.nanmean(table[generator.integers(0, rows, rows)][:, generator.integers(0, columns, columns)])
        for _ in range(_DRAWS)
    ]
    return np.array(drawn)


def _ends(drawn: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(drawn, [_TAIL, 1 - _TAIL])
    return float(low), float(high)
