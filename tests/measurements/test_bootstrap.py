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
    first, other = readings(20)
    result = bootstrap_intervals(first, other, seed=7, resamples=300)
    drawn = np.random.default_rng(7).integers(0, 20, (300, 20))
    each = [agreement(first[rows], other[rows]) for rows in drawn]
    for interval, values in (
        (result.r, [first.r for first in each]),
        (result.mae, [first.mae for first in each]),
        (result.bias, [first.bias for first in each]),
    ):
        assert interval == pytest.approx(np.quantile(values, [0.025, 0.975]))


def test_many_patients_give_the_theory_s_interval() -> None:
    first, other = readings(400)
    result = bootstrap_intervals(first, other, seed=0)
    listed = agreement(first, other)
    assert result.bias == pytest.approx(
        (listed.bias - listed.bias_margin, listed.bias + listed.bias_margin), abs=0.08
    )
    assert result.r is not None and listed.r is not None
    half = 1.96 / np.sqrt(400 - 3)  # Fisher's z
    assert result.r == pytest.approx(
        np.tanh([np.arctanh(listed.r) - half, np.arctanh(listed.r) + half]), abs=0.01
    )
    assert result.mae[0] < listed.mae < result.mae[1]


def test_intervals_cover_the_truth_at_their_stated_rate() -> None:
    covered = 0
    for seed in range(200):
        first, other = readings(50, seed=seed)
        low, high = bootstrap_intervals(first, other, seed=seed, resamples=400).bias
        covered += low <= 2.0 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_the_seed_decides() -> None:
    first, other = readings(15)
    assert bootstrap_intervals(first, other, seed=3) == bootstrap_intervals(first, other, seed=3)
    assert bootstrap_intervals(first, other, seed=3) != bootstrap_intervals(first, other, seed=4)


def test_swapping_turns_the_bias_and_nothing_else() -> None:
    first, other = readings(15)
    present, back = bootstrap_intervals(first, other, seed=3), bootstrap_intervals(other, first, seed=3)
    assert present.bias == pytest.approx((-back.bias[1], -back.bias[0]))
    assert present.mae == back.mae and present.r == pytest.approx(back.r)


def test_a_correlation_that_is_not_defined() -> None:
    same = np.full(10, 55.0)
    result = bootstrap_intervals(same, np.arange(10.0), seed=0)
    assert result.r is None
    assert result.mae[0] > 0


def test_too_few_and_bad_values() -> None:
    with pytest.raises(MeasurementError, match="at least 3"):
        bootstrap_intervals(np.zeros(2), np.zeros(2), seed=0)
    with pytest.raises(ValueError, match="equal length"):
        bootstrap_intervals(np.zeros(4), np.zeros(5), seed=0)
    with pytest.raises(ValueError, match="finite"):
        bootstrap_intervals(np.array([1.0, 2, np.nan]), np.zeros(3), seed=0)
