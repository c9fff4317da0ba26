"""Rankings: what they go by, and that a seed repeats them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from cardiolabel.active_learning.diversity import covering, thumbnail
from cardiolabel.active_learning.selection import COLD_PATIENTS, STRATEGIES, Candidate, rank


def candidates(count: int = 30, seed: int = 0) -> list[Candidate]:
    rng = np.random.default_rng(seed)
    return [
        Candidate(
            f"p{number:02}",
            stratum="Good" if number % 3 else "Poor",
            embedding=rng.normal(size=8).astype(np.float32),
            entropy=float(rng.random()),
            ef_spread_pct=float(rng.uniform(1, 9)),
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_everyone_is_ranked_once_and_a_seed_repeats_it(strategy: str) -> None:
    values = candidates()
    first = rank(strategy, values, seed=5)
    assert sorted(each.patient for each in first) == [each.patient for each in values]
    assert rank(strategy, values[::-1], seed=5) == first
    assert all(each.why for each in first)


@pytest.mark.parametrize("strategy", ["random", "stratified"])
def test_another_seed_draws_others(strategy: str) -> None:
    assert rank(strategy, candidates(), seed=5) != rank(strategy, candidates(), seed=6)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_flagged_patients_come_last_and_say_so(strategy: str) -> None:
    values = candidates()
    values[4] = Candidate("p04", entropy=99.0, ef_spread_pct=99.0, flags=("blank",))
    last = rank(strategy, values)[-1]
    assert last.patient == "p04"
    assert last.why.startswith("last, as flagged blank; ")


def test_ef_uncertainty_goes_by_points_of_ef() -> None:
    values = candidates()
    result = [each.patient for each in rank("ef_uncertainty", values)]
    assert result == [each.patient for each in sorted(values, key=lambda each: -(each.ef_spread_pct or 0))]


def test_an_ef_that_cannot_be_measured_is_looked_at_first() -> None:
    values = [*candidates(), Candidate("broken", entropy=0.1, reason="A4C ES: no cavity")]
    first = rank("ef_uncertainty", values)[0]
    assert (first.patient, first.why) == ("broken", "EF is not measurable: A4C ES: no cavity")


def test_patients_that_no_model_has_seen_come_after_those_scored() -> None:
    values = [Candidate("new"), *candidates()]
    assert rank("entropy", values)[-1].patient == "new"
    assert rank("entropy", values)[-1].why == "at random, not scored yet"


def test_stratified_takes_of_each_stratum_its_share() -> None:
    values = candidates()
    by_name = {each.patient: each for each in values}
    chosen = rank("stratified", values, seed=1)[:12]
    assert Counter(by_name[each.patient].stratum for each in chosen) == {"Good": 8, "Poor": 4}
    done, left = (
        [each for each in values if each.stratum == "Poor"],
        [each for each in values if each.stratum != "Poor"],
    )
    assert {candidate.stratum for candidate in left} == {"Good"}
    assert by_name[rank("stratified", left, labelled=done)[0].patient].stratum == "Good"


def test_hybrid_begins_with_diversity() -> None:
    values = candidates()
    cold = rank("hybrid", values)[:COLD_PATIENTS]
    assert cold == rank("diversity", values)[:COLD_PATIENTS]


def test_hybrid_then_takes_who_stands_for_most_of_what_is_open() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(3, 8, dtype=np.float32) * 10
    groups = [("open", 20, 6.0), ("settled", 20, 1.0), ("alone", 1, 9.0)]
    values = [
        Candidate(
            f"{name}{number}",
            embedding=(centres[group] + rng.normal(0, 0.1, 8)).astype(np.float32),
            entropy=0.1,
            ef_spread_pct=spread,
        )
        for group, (name, count, spread) in enumerate(groups)
        for number in range(count)
    ]
    # So many labels, of other pictures, that the noise has faded.
    labelled = [Candidate(f"done{number}", embedding=np.ones(8, np.float32) * 10) for number in range(10_000)]
    assert rank("ef_uncertainty", values)[0].patient == "alone0"
    order = rank("hybrid", values, labelled=labelled)
    assert order[0].patient.startswith("open")
    assert "EF uncertainty 6.0 points (standard deviation); its images represent most" in order[0].why
    done = next(each for each in values if each.patient == order[0].patient)
    left = [each for each in values if each is not done]
    assert rank("hybrid", left, labelled=[*labelled, done])[0].patient.startswith("settled")


def test_diversity_takes_one_of_each_group_and_leaves_out_what_is_labelled() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(4, dtype=np.float32) * 10
    points = np.concatenate([centres[n] + rng.normal(0, 0.1, (10, 4)) for n in range(4)]).astype(np.float32)
    nobody = np.zeros((0, 4), dtype=np.float32)
    assert {index // 10 for index in covering(points, 4, labelled=nobody, seed=0)} == {0, 1, 2, 3}
    assert {index // 10 for index in covering(points, 3, labelled=centres[:1], seed=0)} == {1, 2, 3}
    assert sorted(covering(points, 40, labelled=nobody, seed=0)) == list(range(40))


def test_each_one_that_is_chosen_brings_the_others_nearest() -> None:
    generator = np.random.default_rng(3)
    points, labelled = (generator.normal(size=(count, 8)).astype(np.float32) for count in (60, 5))
    weights = generator.uniform(1, 5, 60)
    between = np.linalg.norm(points[:, None] - points, axis=2)
    nearest = np.linalg.norm(points[:, None] - labelled, axis=2).min(axis=1)
    for index in covering(points, 12, labelled=labelled, seed=0, weights=weights):
        left_over = weights @ np.minimum(nearest[:, None], between)
        assert left_over[index] == pytest.approx(left_over.min(), rel=1e-5)
        nearest = np.minimum(nearest, between[:, index])


def test_a_thumbnail_does_not_depend_on_gain() -> None:
    frame = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    assert thumbnail(frame) == pytest.approx(thumbnail(frame * 3 + 1), abs=1e-4)
    assert np.linalg.norm(thumbnail(frame)) == pytest.approx(1)
    assert not thumbnail(np.ones((64, 64), dtype=np.float32)).any()


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="strategy 'best': expected one of random"):
        rank("best", candidates())
