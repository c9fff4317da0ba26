"""Strategies that rank patients for correction."""

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
"""Number of labelled patients below which `hybrid` uses diversity alone."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A patient to rank, labelled or not.

    Attributes
    ----------
    stratum : str
        Patients of one stratum are alike in view, phase and quality.
    embedding : ndarray, shape (D,), or None
        Mean `thumbnail` of the images.
    entropy : float or None
        Mean `FrameUncertainty.entropy` of the images; None before they were scored.
    ef_spread_pct : float or None
        As `whole_spread_pct`, in points; None where there is no EF, for ``reason``.
    flags : tuple of str
        Reasons why the images may be out of distribution.
    """

    patient: str
    stratum: str = ""
    embedding: NDArray[np.float32] | None = None
    entropy: float | None = None
    ef_spread_pct: float | None = None
    reason: str = ""
    flags: tuple[str, ...] = ()


def stratum_of(records: Sequence[Record]) -> str:
    """Name a patient's views, phases and image quality."""
    views = sorted({f"{record.view} {record.phase}" for record in records})
    return ", ".join([*views, *sorted({record.image_quality for record in records if record.image_quality})])


@dataclass(frozen=True)
class Choice:
    """A patient in a ranking, with the reason for its place."""

    patient: str
    why: str


Order = Callable[[list[Candidate], list[Candidate], int], list[Choice]]


def rank(
    strategy: str, candidates: Sequence[Candidate], *, labelled: Sequence[Candidate] = (), seed: int = 0
) -> list[Choice]:
    """Rank patients by a strategy.

    Flagged patients come last, whatever their scores, as predictions of out-of-distribution images mean
    nothing.

    Parameters
    ----------
    strategy : str
        One of `STRATEGIES`.
    candidates : sequence of Candidate
        Patients with images that have no final label.
    labelled : sequence of Candidate
        Patients whose images all have one.
    seed : int
        The same one gives the same order.

    Raises
    ------
    ValueError
        There is no such strategy.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy {strategy!r}: expected one of {', '.join(STRATEGIES)}")
    ordered = sorted(candidates, key=lambda candidate: candidate.patient)
    order = STRATEGIES[strategy]
    flags = {candidate.patient: candidate.flags for candidate in ordered if candidate.flags}
    usable = order([candidate for candidate in ordered if not candidate.flags], list(labelled), seed)
    flagged = order([candidate for candidate in ordered if candidate.flags], list(labelled), seed)
    return usable + [
        Choice(choice.patient, f"last, as flagged {', '.join(flags[choice.patient])}; {choice.why}")
        for choice in flagged
    ]


def _random(candidates: list[Candidate], labelled: list[Candidate], seed: int) -> list[Choice]:
    return [Choice(candidate.patient, "at random") for candidate in _shuffled(candidates, seed)]


def _stratified(candidates: list[Candidate], labelled: list[Candidate], seed: int) -> list[Choice]:
    """At each step take a patient of the stratum that is furthest behind its share of all patients."""
    waiting: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in _shuffled(candidates, seed)[::-1]:
        waiting[candidate.stratum].append(candidate)
    total: dict[str, int] = defaultdict(int)
    done: dict[str, int] = defaultdict(int)
    for candidate in (*candidates, *labelled):
        total[candidate.stratum] += 1
    for candidate in labelled:
        done[candidate.stratum] += 1
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
    def key(candidate: Candidate) -> float:
        return candidate.entropy or 0.0

    return _scored(
        candidates,
        seed,
        key,
        lambda candidate: f"mean entropy around the endocardium {candidate.entropy:.3f} nats",
    )


def _ef_uncertainty(candidates: list[Candidate], labelled: list[Candidate], seed: int) -> list[Choice]:
    """Rank by EF uncertainty; predicted patients without a measurable EF come first."""
    return _scored(candidates, seed, _ef_key, _ef_why)


def _diversity(candidates: list[Candidate], labelled: list[Candidate], seed: int) -> list[Choice]:
    embedded = [candidate for candidate in candidates if candidate.embedding is not None]
    order = _covering(embedded, labelled, seed)
    why = "images that represent most of those unlike any labelled ones"
    return [Choice(candidate.patient, why) for candidate in order] + _unscored(
        [candidate for candidate in candidates if candidate.embedding is None], seed
    )


def _covering(
    candidates: list[Candidate],
    labelled: list[Candidate],
    seed: int,
    weights: NDArray[np.float64] | None = None,
) -> list[Candidate]:
    """Order candidates with embeddings by `covering`."""
    if not candidates:
        return []
    embeddings = np.stack(
        [candidate.embedding for candidate in candidates if candidate.embedding is not None]
    )
    labelled_embeddings = [candidate.embedding for candidate in labelled if candidate.embedding is not None]
    covered = np.array(labelled_embeddings, dtype=np.float32).reshape(-1, embeddings.shape[1])
    order = covering(embeddings, len(candidates), labelled=covered, seed=seed, weights=weights)
    return [candidates[index] for index in order]


def _hybrid(candidates: list[Candidate], labelled: list[Candidate], seed: int) -> list[Choice]:
    """Rank by diversity for the first ten labelled patients, then by diversity weighted with EF uncertainty.

    EF uncertainty alone prefers images that are unlike all others. Spreads are noisy while few patients are
    labelled, so that random noise, which fades with more labels, keeps them from deciding alone.
    """
    cold = max(0, COLD_PATIENTS - len(labelled))
    first = _diversity(candidates, labelled, seed)[:cold]
    taken = {choice.patient for choice in first}
    left = [candidate for candidate in candidates if candidate.patient not in taken]
    scored = [
        candidate for candidate in left if candidate.entropy is not None and candidate.embedding is not None
    ]
    spreads = np.array(
        [np.nan if candidate.ef_spread_pct is None else candidate.ef_spread_pct for candidate in scored]
    )
    widest = np.nanmax(spreads) if np.isfinite(spreads).any() else 1.0
    noise = np.random.default_rng([seed, len(labelled)]).normal(
        0, COLD_PATIENTS / max(len(labelled), COLD_PATIENTS), len(scored)
    )
    weights = np.nan_to_num(spreads, nan=widest) * np.exp(noise)
    represented = [*labelled, *(candidate for candidate in candidates if candidate.patient in taken)]
    order = _covering(scored, represented, seed, weights)
    like = "its images represent most of the uncertain EFs unlike any labelled ones"
    rest = [candidate for candidate in left if candidate.entropy is None or candidate.embedding is None]
    return (
        first
        + [Choice(candidate.patient, f"{_ef_why(candidate)}; {like}") for candidate in order]
        + _unscored(rest, seed)
    )


STRATEGIES: dict[str, Order] = {
    "random": _random,
    "stratified": _stratified,
    "entropy": _entropy,
    "diversity": _diversity,
    "ef_uncertainty": _ef_uncertainty,
    "hybrid": _hybrid,
}
"""Strategies by their names at the server."""


def _ef_key(candidate: Candidate) -> float:
    return float("inf") if candidate.ef_spread_pct is None else candidate.ef_spread_pct


def _ef_why(candidate: Candidate) -> str:
    if candidate.ef_spread_pct is None:
        return f"EF is not measurable: {candidate.reason}"
    return f"EF uncertainty {candidate.ef_spread_pct:.1f} points (standard deviation)"


def _scored(
    candidates: list[Candidate], seed: int, key: Callable[[Candidate], float], why: Callable[[Candidate], str]
) -> list[Choice]:
    """Rank scored patients, ties at random, then those without scores."""
    scored = [candidate for candidate in _shuffled(candidates, seed) if candidate.entropy is not None]
    order = sorted(scored, key=key, reverse=True)
    return [Choice(candidate.patient, why(candidate)) for candidate in order] + _unscored(
        [candidate for candidate in candidates if candidate.entropy is None], seed
    )


def _unscored(candidates: list[Candidate], seed: int) -> list[Choice]:
    return [
        Choice(candidate.patient, "at random, not scored yet") for candidate in _shuffled(candidates, seed)
    ]


def _shuffled(candidates: Sequence[Candidate], seed: int) -> list[Candidate]:
    """Shuffle candidates, so that the order of two does not depend on the others."""
    return sorted(
        candidates, key=lambda candidate: hashlib.sha256(f"{seed}:{candidate.patient}".encode()).digest()
    )
