"""Bootstrap intervals: against theory, a plain loop, and where there is nothing to draw from."""

from __future__ import annotations

import numpy as np
import pytest

from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.agreement import agreement
from cardiolabel.measurements.bootstrap import bootstrap_intervals


def readings(count: int, *, bias: float = 2.0, sd: float = 5.0, seed: int = 1) -> np.ndarray:
    """Values and noisy values beside them, shape (2, count)."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(55, 12, count)
    return np.stack([truth + bias + rng.normal(0, sd, count), truth])


def test_it_is_a_plain_resampling_of_pairs() -> None:
    one, other = readings(20)
    found = bootstrap_intervals(one, other, seed=7, resamples=300)
    drawn = np.random.default_rng(7).integers(0, 20, (300, 20))
    each = [agreement(one[rows], other[rows]) for rows in drawn]
    for interval, values in (
        (found.r, [one.r for one in each]),
        (found.mae, [one.mae for one in each]),
        (found.bias, [one.bias for one in each]),
    ):
        assert interval == pytest.approx(np.quantile(values, [0.025, 0.975]))


def test_many_patients_give_the_theory_s_interval() -> None:
    one, other = readings(400)
    found = bootstrap_intervals(one, other, seed=0)
    known = agreement(one, other)
    assert found.bias == pytest.approx(
        (known.bias - known.bias_margin, known.bias + known.bias_margin), abs=0.08
    )
    assert found.r is not None and known.r is not None
    half = 1.96 / np.sqrt(400 - 3)  # Fisher's z
    assert found.r == pytest.approx(
        np.tanh([np.arctanh(known.r) - half, np.arctanh(known.r) + half]), abs=0.01
    )
    assert found.mae[0] < known.mae < found.mae[1]


def test_it_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        one, other = readings(50, seed=seed)
        low, high = bootstrap_intervals(one, other, seed=seed, resamples=400).bias
        covered += low <= 2.0 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_the_seed_decides() -> None:
    one, other = readings(15)
    assert bootstrap_intervals(one, other, seed=3) == bootstrap_intervals(one, other, seed=3)
    assert bootstrap_intervals(one, other, seed=3) != bootstrap_intervals(one, other, seed=4)


def test_swapping_turns_the_bias_and_nothing_else() -> None:
    one, other = readings(15)
    there, back = bootstrap_intervals(one, other, seed=3), bootstrap_intervals(other, one, seed=3)
    assert there.bias == pytest.approx((-back.bias[1], -back.bias[0]))
    assert there.mae == back.mae and there.r == pytest.approx(back.r)


def test_a_correlation_that_is_not_defined() -> None:
    same = np.full(10, 55.0)
    found = bootstrap_intervals(same, np.arange(10.0), seed=0)
    assert found.r is None
    assert found.mae[0] > 0


def test_too_few_and_bad_values() -> None:
    with pytest.raises(MeasurementError, match="at least 3"):
        bootstrap_intervals(np.zeros(2), np.zeros(2), seed=0)
    with pytest.raises(ValueError, match="equal length"):
        bootstrap_intervals(np.zeros(4), np.zeros(5), seed=0)
    with pytest.raises(ValueError, match="finite"):
        bootstrap_intervals(np.array([1.0, 2, np.nan]), np.zeros(3), seed=0)
