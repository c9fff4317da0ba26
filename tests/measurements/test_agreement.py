"""Bias and limits of agreement of paired values, against closed forms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.agreement import agreement

pairs_of_values = st.lists(st.tuples(st.floats(5, 90), st.floats(5, 90)), min_size=3, max_size=20)


def test_bias_and_limits_of_a_worked_example() -> None:
    second = np.array([40.0, 50, 60, 70])
    result = agreement(second + np.array([1, 3, 5, 7]), second)
    sd = math.sqrt(20 / 3)
    assert (result.count, result.mae, result.bias) == (4, 4, 4)
    assert result.sd == pytest.approx(sd)
    assert result.limits == pytest.approx((4 - 1.96 * sd, 4 + 1.96 * sd))
    assert result.r == pytest.approx(1)
    # Student's t, 0.975, 3 degrees of freedom, from a printed table.
    assert result.bias_margin == pytest.approx(3.182 * sd / 2, rel=1e-3)
    assert result.limit_margin == pytest.approx(3.182 * sd * math.sqrt(3 / 4), rel=1e-3)


def test_limits_hold_95_percent_of_normal_differences() -> None:
    rng = np.random.default_rng(0)
    second = rng.uniform(20, 70, 20_000)
    first = second + rng.normal(-2, 5, second.size)
    result = agreement(first, second)
    lower, upper = result.limits
    assert np.mean((first - second > lower) & (first - second < upper)) == pytest.approx(0.95, abs=0.005)
    assert (result.bias, result.sd) == (pytest.approx(-2, abs=0.15), pytest.approx(5, rel=0.02))


@given(pairs_of_values)
def test_swapping_turns_the_sign(pairs: list[tuple[float, float]]) -> None:
    first, second = np.array(pairs).T
    each, other = agreement(first, second), agreement(second, first)
    assert other.bias == pytest.approx(-each.bias)
    assert other.limits == pytest.approx((-each.limits[1], -each.limits[0]))
    assert (other.mae, other.sd) == (pytest.approx(each.mae), pytest.approx(each.sd))
    same = agreement(first, first)
    assert (same.bias, same.sd, same.mae, same.limits) == (0, 0, 0, (0, 0))


def test_without_variation_there_is_no_correlation() -> None:
    result = agreement(np.full(3, 50.0), np.array([50.0, 51, 52]))
    assert result.r is None and result.bias == -1
    assert replace(result, r=0.0) != result


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_pairs_are_no_agreement(count: int) -> None:
    with pytest.raises(MeasurementError, match=f"^agreement needs at least 3 patients, found {count}$"):
        agreement(np.zeros(count), np.ones(count), cases="patients")


def test_values_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(ValueError, match="equal length"):
        agreement(np.zeros(4), np.zeros(3))
    with pytest.raises(ValueError, match="equal length"):
        agreement(np.zeros((4, 2)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="finite"):
        agreement(np.array([1.0, 2, np.nan]), np.zeros(3))
