"""Whose images to correct next, and why."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardiolabel.active_learning.diversity import covering
from cardiolabel.domain import Record

COLD_PATIENTS = 10
"""With fewer labelled patients, `hybrid` goes by diversity."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A patient, labelled or not.

    Attributes
    ----------
    stratum : str
        Patients of one stratum are alike in view, phase and quality.
    embedding : ndarray, shape (D,), or None
        As `thumbnail`, the mean of the images.
    entropy : float or None
        As `Doubt.entropy`, the mean of the images; None before they were scored.
    ef_spread_pct : float or None
        As `whole_spread_pct`, in points; None where there is no EF, for ``reason``.
    flags : tuple of str
        Why the pictures may not be what the model is for.
    """

    patient: str
    stratum: str = ""
    embedding: NDArray[np.float32] | None = None
    entropy: float | None = None
    ef_spread_pct: float | None = None
    reason: str = ""
    flags: tuple[str, ...] = ()


def stratum_of(records: Sequence[Record]) -> str:
    """Views, phases and image quality of a patient."""
    views = sorted({f"{record.view} {record.phase}" for record in records})
    return ", ".join([*views, *sorted({record.image_quality for record in records if record.image_quality})])


@dataclass(frozen=True)
class Choice:
    """A patient in a ranking, and why there."""

    patient: str
    why: str


Order = Callable[[list[Candidate], list[Candidate], int], list[Choice]]


def rank(
    strategy: str, candidates: Sequence[Candidate], *, labelled: Sequence[Candidate] = (), seed: int = 0
) -> list[Choice]:
    """Put patients in the order in which their images should be corrected.

    Those with flags come last, whatever their scores: what a model says of a picture that it is not for
    means nothing.

    Parameters
    ----------
    strategy : str
        One of `STRATEGIES`.
    candidates : sequence of Candidate
        Patients with images that have no final label.
    labelled : sequence of Candidate
        Patients without.
    seed : int
        The same one gives the same order.

    Raises
    ------
    ValueError
        There is no such strategy.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy {strategy!r}: expected one of {', '.join(STRATEGIES)}")
    ordered = sorted(candidates, key=lambda one: one.patient)
    order = STRATEGIES[strategy]
    flags = {one.patient: one.flags for one in ordered if one.flags}
    usable = order([one for one in ordered if not one.flags], list(labelled), seed)
    flagged = order([one for one in ordered if one.flags], list(labelled), seed)
    return usable + [
        Choice(one.patient, f"last, as flagged {', '.join(flags[one.patient])}; {one.why}") for one in flagged
    ]


def _random(candidates: list[Candidate], labelled: list[Candidate], seed: int) -> list[Choice]:
    return [Choice(one.patient, "at random") for one in _shuffled(candidates, seed)]


def _stratified(candidates: list[Candidate], labelled: list[Candidate], seed: int) -> list[Choice]:
    """At each step from the stratum that is furthest behind its share of all patients."""
    waiting: dict[str, list[Candidate]] = defaultdict(list)
    for one in _shuffled(candidates, seed)[::-1]:
        waiting[one.stratum].append(one)
    total: dict[str, int] = defaultdict(int)
    done: dict[str, int] = defaultdict(int)
    for one in (*candidates, *labelled):
        total[one.stratum] += 1
    for one in labelled:
        done[one.stratum] += 1
    choices = []
    for _ in candidates:
        stratum = min(
            (name for name in waiting if waiting[name]),
            key=lambda name: ((done[name] + 1) / total[name], name),
        )
        done[stratum] += 1
        chosen = waiting[stratum].pop()
        why = f"stratum {stratum or 'unknown'}: {done[stratum]} of {total[stratum]} patients with this one"
        choices.append(Choice(chosen.patient, why))
    return choices


def _entropy(candidates: list[Candidate], labelled: list[Candidate], seed: int) -> list[Choice]:
    def key(one: Candidate) -> float:
        return one.entropy or 0.0

    return _scored(
        candidates, seed, key, lambda one: f"mean entropy around the endocardium {one.entropy:.3f} nats"
    )


def _ef_uncertainty(candidates: list[Candidate], labelled: list[Candidate], seed: int) -> list[Choice]:
    """The widest EF first; before them, those that could not be measured though they were predicted."""
    return _scored(candidates, seed, _ef_key, _ef_why)


def _diversity(candidates: list[Candidate], labelled: list[Candidate], seed: int) -> list[Choice]:
    known = [one for one in candidates if one.embedding is not None]
    order = _covering(known, labelled, seed)
    why = "pictures that stand for most of those that no labelled ones are like"
    return [Choice(one.patient, why) for one in order] + _unscored(
        [one for one in candidates if one.embedding is None], seed
    )


def _covering(
    candidates: list[Candidate],
    labelled: list[Candidate],
    seed: int,
    weights: NDArray[np.float64] | None = None,
) -> list[Candidate]:
    """Candidates, all with embeddings, in the order of `covering`."""
    if not candidates:
        return []
    embeddings = np.stack([one.embedding for one in candidates if one.embedding is not None])
    done = [one.embedding for one in labelled if one.embedding is not None]
    known = np.array(done, dtype=np.float32).reshape(-1, embeddings.shape[1])
    order = covering(embeddings, len(candidates), labelled=known, seed=seed, weights=weights)
    return [candidates[index] for index in order]


def _hybrid(candidates: list[Candidate], labelled: list[Candidate], seed: int) -> list[Choice]:
    """Diversity for the first ten patients; then who stands for most of what is open in EF.

    That is diversity again, but each patient that nobody labelled is like counts by the spread of its EF. The
    least certain EFs by themselves are those of the pictures that are unlike all others. Spreads are noisy
    where few are labelled; noise that fades with labels keeps them from deciding alone.
    """
    cold = max(0, COLD_PATIENTS - len(labelled))
    first = _diversity(candidates, labelled, seed)[:cold]
    taken = {choice.patient for choice in first}
    left = [one for one in candidates if one.patient not in taken]
    known = [one for one in left if one.entropy is not None and one.embedding is not None]
    spreads = np.array([np.nan if one.ef_spread_pct is None else one.ef_spread_pct for one in known])
    widest = np.nanmax(spreads) if np.isfinite(spreads).any() else 1.0
    noise = np.random.default_rng([seed, len(labelled)]).normal(
        0, COLD_PATIENTS / max(len(labelled), COLD_PATIENTS), len(known)
    )
    weights = np.nan_to_num(spreads, nan=widest) * np.exp(noise)
    done = [*labelled, *(one for one in candidates if one.patient in taken)]
    order = _covering(known, done, seed, weights)
    like = "its pictures stand for most of the open EFs that no labelled ones are like"
    rest = [one for one in left if one.entropy is None or one.embedding is None]
    return first + [Choice(one.patient, f"{_ef_why(one)}; {like}") for one in order] + _unscored(rest, seed)


STRATEGIES: dict[str, Order] = {
    "random": _random,
    "stratified": _stratified,
    "entropy": _entropy,
    "diversity": _diversity,
    "ef_uncertainty": _ef_uncertainty,
    "hybrid": _hybrid,
}
"""By their names at the server."""


def _ef_key(one: Candidate) -> float:
    return float("inf") if one.ef_spread_pct is None else one.ef_spread_pct


def _ef_why(one: Candidate) -> str:
    if one.ef_spread_pct is None:
        return f"EF is not measurable: {one.reason}"
    return f"EF is open by {one.ef_spread_pct:.1f} points (standard deviation)"


def _scored(
    candidates: list[Candidate], seed: int, key: Callable[[Candidate], float], why: Callable[[Candidate], str]
) -> list[Choice]:
    """The highest first, of equals at random; then those that no model has seen."""
    known = [one for one in _shuffled(candidates, seed) if one.entropy is not None]
    order = sorted(known, key=key, reverse=True)
    return [Choice(one.patient, why(one)) for one in order] + _unscored(
        [one for one in candidates if one.entropy is None], seed
    )


def _unscored(candidates: list[Candidate], seed: int) -> list[Choice]:
    return [Choice(one.patient, "at random, not scored yet") for one in _shuffled(candidates, seed)]


def _shuffled(candidates: Sequence[Candidate], seed: int) -> list[Candidate]:
    """In an order that does not depend on which others there are."""
    return sorted(candidates, key=lambda one: hashlib.sha256(f"{seed}:{one.patient}".encode()).digest())
