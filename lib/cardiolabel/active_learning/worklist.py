"""Every patient with what is open about it, and the next image to correct."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cardiolabel.active_learning.score_json import Score, embedding_of, entropy_of, spreads_of
from cardiolabel.active_learning.selection import Candidate, Choice, rank, stratum_of
from cardiolabel.domain import Convention
from cardiolabel.store.leases import Lease, Offers
from cardiolabel.store.scores import Scored
from cardiolabel.store.store import Store
from cardiolabel.studies.studies import Studies
from cardiolabel.uncertainty.ef_distribution import Way

BY_EF = frozenset({"ef_uncertainty", "hybrid"})
"""Strategies that leave a patient as soon as others are more open."""

_WORTH_PCT = 1.0
"""Points of EF (standard deviation) that an image must be open by for its patient to be gone on with."""


_UNSCORED: Score = {
    "model": None,
    "ef": [],
    "shares": {},
    "reason": "not scored yet",
    "images": {},
    "embedding": None,
}


@dataclass(frozen=True)
class Next:
    """An image that was handed out, and why it."""

    lease: Lease
    why: str


class Worklist:
    """Reads scores as they come; safe to use from several threads.

    Parameters
    ----------
    studies : Studies
    store : Store
    """

    def __init__(self, studies: Studies, store: Store) -> None:
        self._studies, self._store = studies, store
        self._known: dict[str, Scored] = {}
        self._candidates: dict[str, tuple[object, Candidate]] = {}
        self._ranked: dict[str, tuple[object, list[Choice]]] = {}
        self._until, self._read_at = 0, -math.inf
        self._lock, self._choosing = threading.Lock(), threading.Lock()

    def warm_up(self) -> None:
        """Read everything that there is, so that no annotator waits for it."""
        self._scores()
        for patient in self._studies.by_patient():
            self._candidate(patient)

    def spreads_pct(self, patient: str) -> tuple[str, Mapping[Way, float]] | None:
        """As `Studies` takes it; at most a second old."""
        scored = self._scores(at_most_s=1.0).get(patient)
        return (scored.state, spreads_of(scored.score)) if scored else None

    def hand_out(self, strategy: str, annotator: str, *, seed: int, seconds: float) -> Next | None:
        """Lease the next image by a strategy; None where nothing is left for this annotator.

        Images of a patient follow one another: as long as they are worth it, where EF decides, else all of
        them. Of a patient the image that causes most of EF's spread comes first.

        Raises
        ------
        ValueError
            There is no such strategy.
        """
        why = ""

        def choose(offers: Offers) -> str | None:
            nonlocal why
            found = self._choice(strategy, offers, seed)
            why = found[1] if found else "you have it already, and nothing else is left"
            return found and found[0]

        # One after the other: of many at once all would rank, choose the same image, and all but one again.
        with self._choosing:
            lease = self._store.offer(annotator, choose, seconds=seconds)
        return Next(lease, why) if lease else None

    def rows(self) -> list[dict[str, Any]]:
        """One JSON-safe row per image, those of the most open EF first."""
        known = self._scores()  # first, for the intervals of the summary to be of the same scores
        summary = self._studies.summary()
        leases = {one.image_id: one for one in self._store.leases()}
        rows = []
        for patient in summary:
            name = patient["patient"]
            scored = known.get(name)
            score = scored.score if scored else _UNSCORED
            current = scored is not None and scored.state == self._studies.state(name)
            ef: dict[str, Any] = next(iter([*patient["ef"], *score["ef"]]), {})
            for image_id, source in patient["sources"].items():
                doubts = score["images"].get(image_id, {})
                lease = leases.get(image_id)
                rows.append(
                    {
                        "patient": name,
                        "image": image_id,
                        **{key: ef.get(key) for key in ("method", "ef_pct", "ef_low_pct", "ef_high_pct")},
                        "ef_spread_pct": _guideline(spreads_of(score)),
                        "share": score["shares"].get(image_id),
                        **{key: doubts.get(key) for key in ("entropy", "disagreement", "expected_dice")},
                        "flags": doubts.get("flags", []),
                        "label": source,
                        "leased_by": lease.annotator if lease else None,
                        "model": score["model"],
                        "up_to_date": current,
                        "reason": score["reason"],
                    }
                )
        return sorted(rows, key=lambda row: (row["ef_spread_pct"] is None, -(row["ef_spread_pct"] or 0)))

    def _choice(self, strategy: str, offers: Offers, seed: int) -> tuple[str, str] | None:
        known = self._scores()
        for patient in sorted(offers.mine & offers.free.keys()):
            image, open_pct = self._image(known.get(patient), offers.free[patient])
            if strategy not in BY_EF or open_pct is None:
                return image, "another image of the patient that you work on"
            if open_pct >= _WORTH_PCT:
                return image, f"same patient: {self._because(known.get(patient), image)}"
        ranked = self._rank(strategy, offers, seed)
        for choice in sorted(ranked, key=lambda one: one.patient in offers.others):
            image, _ = self._image(known.get(choice.patient), offers.free[choice.patient])
            because = self._because(known.get(choice.patient), image)
            return image, f"{choice.why}; {because}" if because else choice.why
        return None

    def _image(self, scored: Scored | None, free: list[str]) -> tuple[str, float | None]:
        """Of a patient's free images the one that EF hangs on most, and by how many points."""
        shares = scored.score["shares"] if scored else {}
        image = max(free, key=lambda one: shares.get(one, 0.0))
        spread = _guideline(spreads_of(scored.score)) if scored else None
        return image, None if spread is None else spread * math.sqrt(shares.get(image, 0.0))

    def _because(self, scored: Scored | None, image: str) -> str:
        share = scored.score["shares"].get(image) if scored else None
        record = self._studies.record(image)
        return f"{record.view} {record.phase} holds {share:.0%} of this EF's uncertainty" if share else ""

    def _rank(self, strategy: str, offers: Offers, seed: int) -> list[Choice]:
        """Patients with free images; a strategy's last ranking is kept while what it hangs on is the same."""
        by_patient = self._studies.by_patient()
        everyone = {patient: self._candidate(patient) for patient in by_patient}
        waiting = [one for patient, one in everyone.items() if patient in offers.free]
        done = [one for patient, one in everyone.items() if patient not in offers.free]
        key = (seed, self._until, tuple(one.patient for one in waiting), len(done))
        kept = self._ranked.get(strategy)
        if kept is None or kept[0] != key:
            kept = (key, rank(strategy, waiting, labelled=done, seed=seed))
            self._ranked[strategy] = kept
        return kept[1]

    def _candidate(self, patient: str) -> Candidate:
        scored = self._known.get(patient)
        records = self._studies.of_patient(patient)
        key = (scored and scored.sequence, tuple(map(id, records)))
        kept = self._candidates.get(patient)
        if kept is None or kept[0] != key:
            kept = (key, _candidate(patient, stratum_of(records), scored))
            self._candidates[patient] = kept
        return kept[1]

    def _scores(self, *, at_most_s: float = 0.0) -> dict[str, Scored]:
        with self._lock:
            if time.monotonic() - self._read_at < at_most_s:
                return self._known
            self._read_at = time.monotonic()
            for one in self._store.scores_since(self._until):
                self._known[one.patient] = one
                self._until = one.sequence
            return self._known


def _candidate(patient: str, stratum: str, scored: Scored | None) -> Candidate:
    if scored is None:
        return Candidate(patient, stratum)
    score = scored.score
    flags = {flag for one in score["images"].values() for flag in one["flags"]}
    return Candidate(
        patient,
        stratum,
        embedding_of(score),
        entropy_of(score),
        _guideline(spreads_of(score)),
        score["reason"],
        tuple(sorted(flags)),
    )


def _guideline(spreads: Mapping[Way, float]) -> float | None:
    """Give the spread of the most trusted method in the guideline convention."""
    ranked = [
        (method.rank, spread)
        for (method, convention), spread in spreads.items()
        if convention is Convention.GUIDELINE
    ]
    return min(ranked)[1] if ranked else None
