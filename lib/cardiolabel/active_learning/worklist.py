"""The worklist: every image with its scores, and the next image to correct."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cardiolabel.active_learning.score_json import Score, embedding_of, entropy_of
from cardiolabel.active_learning.selection import Candidate, Choice, rank, stratum_of
from cardiolabel.domain import Convention
from cardiolabel.store.leases import Lease, Offers
from cardiolabel.store.scores import Scored
from cardiolabel.store.store import Store
from cardiolabel.studies.patient_reports import PatientReports
from cardiolabel.studies.score_reader import ScoreReader, spreads_of
from cardiolabel.uncertainty.ef_distribution import MethodKey

BY_EF = frozenset({"ef_uncertainty", "hybrid"})
"""Strategies that move to another patient as soon as its EF is more uncertain."""

_WORTH_PCT = 1.0
"""EF uncertainty in points that a patient's next image must cause to stay with the patient."""


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
    """An image that was handed out, and the reason."""

    lease: Lease
    why: str


class Worklist:
    """The images of a studies folder with their scores; safe to use from several threads.

    Parameters
    ----------
    reports : PatientReports
    store : Store
    reader : ScoreReader
        Scores in that store.
    """

    def __init__(self, reports: PatientReports, store: Store, reader: ScoreReader) -> None:
        self._reports, self._studies = reports, reports.studies
        self._store, self._reader = store, reader
        self._candidates: dict[str, tuple[object, Candidate]] = {}
        self._ranked: dict[str, tuple[object, list[Choice]]] = {}
        self._choosing = threading.Lock()

    def warm_up(self) -> None:
        """Read all scores, so that no annotator waits for them."""
        self._reader.scores()
        for patient in self._studies.by_patient():
            self._candidate(patient)

    def hand_out(self, strategy: str, annotator: str, *, seed: int, seconds: float) -> Next | None:
        """Lease the next image of a strategy to an annotator; None where nothing is left.

        With a strategy by EF uncertainty, a patient's images follow one another while they are worth it; with
        others, until all are done. Within a patient, the image with the largest share in EF's variance comes
        first.

        Raises
        ------
        ValueError
            There is no such strategy.
        """
        why = ""

        def choose(offers: Offers) -> str | None:
            nonlocal why
            choice = self._choice(strategy, offers, seed)
            why = choice[1] if choice else "you have it already, and nothing else is left"
            return choice and choice[0]

        # One after the other: of many at once all would rank, choose the same image, and all but one again.
        with self._choosing:
            lease = self._store.offer(annotator, choose, seconds=seconds)
        return Next(lease, why) if lease else None

    def rows(self) -> list[dict[str, Any]]:
        """Return one JSON-safe row per image, the largest EF uncertainty first."""
        scores = self._reader.scores()  # first, for the intervals of the summary to be of the same scores
        summary = self._reports.summary()
        leases = {lease.image_id: lease for lease in self._store.leases()}
        rows = []
        for patient in summary:
            name = patient["patient"]
            scored = scores.get(name)
            score = scored.score if scored else _UNSCORED
            current = scored is not None and scored.state == self._studies.state(name)
            ef: dict[str, Any] = next(iter([*patient["ef"], *score["ef"]]), {})
            for image_id, source in patient["sources"].items():
                uncertainties = score["images"].get(image_id, {})
                lease = leases.get(image_id)
                rows.append(
                    {
                        "patient": name,
                        "image": image_id,
                        **{key: ef.get(key) for key in ("method", "ef_pct", "ef_low_pct", "ef_high_pct")},
                        "ef_spread_pct": _guideline(spreads_of(score)),
                        "share": score["shares"].get(image_id),
                        **{
                            key: uncertainties.get(key)
                            for key in ("entropy", "disagreement", "expected_dice")
                        },
                        "flags": uncertainties.get("flags", []),
                        "label": source,
                        "leased_by": lease.annotator if lease else None,
                        "model": score["model"],
                        "up_to_date": current,
                        "reason": score["reason"],
                    }
                )
        return sorted(rows, key=lambda row: (row["ef_spread_pct"] is None, -(row["ef_spread_pct"] or 0)))

    def _choice(self, strategy: str, offers: Offers, seed: int) -> tuple[str, str] | None:
        scores = self._reader.scores()
        for patient in sorted(offers.mine & offers.free.keys()):
            image, open_pct = self._image(scores.get(patient), offers.free[patient])
            if strategy not in BY_EF or open_pct is None:
                return image, "another image of the patient that you work on"
            if open_pct >= _WORTH_PCT:
                return image, f"same patient: {self._because(scores.get(patient), image)}"
        ranked = self._rank(strategy, offers, seed)
        for choice in sorted(ranked, key=lambda ranked_choice: ranked_choice.patient in offers.others):
            image, _ = self._image(scores.get(choice.patient), offers.free[choice.patient])
            because = self._because(scores.get(choice.patient), image)
            return image, f"{choice.why}; {because}" if because else choice.why
        return None

    def _image(self, scored: Scored | None, free: list[str]) -> tuple[str, float | None]:
        """Return the free image of a patient with the largest share, and the EF points that it causes."""
        shares = scored.score["shares"] if scored else {}
        image = max(free, key=lambda image_id: shares.get(image_id, 0.0))
        spread = _guideline(spreads_of(scored.score)) if scored else None
        return image, None if spread is None else spread * math.sqrt(shares.get(image, 0.0))

    def _because(self, scored: Scored | None, image: str) -> str:
        share = scored.score["shares"].get(image) if scored else None
        record = self._studies.record(image)
        return f"{record.view} {record.phase} holds {share:.0%} of this EF's uncertainty" if share else ""

    def _rank(self, strategy: str, offers: Offers, seed: int) -> list[Choice]:
        """Rank patients with free images; the last ranking is reused while its inputs are unchanged."""
        by_patient = self._studies.by_patient()
        candidates = {patient: self._candidate(patient) for patient in by_patient}
        waiting = [candidate for patient, candidate in candidates.items() if patient in offers.free]
        labelled = [candidate for patient, candidate in candidates.items() if patient not in offers.free]
        key = (seed, self._reader.sequence, tuple(candidate.patient for candidate in waiting), len(labelled))
        cached = self._ranked.get(strategy)
        if cached is None or cached[0] != key:
            cached = (key, rank(strategy, waiting, labelled=labelled, seed=seed))
            self._ranked[strategy] = cached
        return cached[1]

    def _candidate(self, patient: str) -> Candidate:
        scored = self._reader.scores(at_most_s=1.0).get(patient)
        records = self._studies.of_patient(patient)
        key = (scored and scored.sequence, tuple(map(id, records)))
        cached = self._candidates.get(patient)
        if cached is None or cached[0] != key:
            cached = (key, _candidate(patient, stratum_of(records), scored))
            self._candidates[patient] = cached
        return cached[1]


def _candidate(patient: str, stratum: str, scored: Scored | None) -> Candidate:
    if scored is None:
        return Candidate(patient, stratum)
    score = scored.score
    flags = {flag for image in score["images"].values() for flag in image["flags"]}
    return Candidate(
        patient,
        stratum,
        embedding_of(score),
        entropy_of(score),
        _guideline(spreads_of(score)),
        score["reason"],
        tuple(sorted(flags)),
    )


def _guideline(spreads: Mapping[MethodKey, float]) -> float | None:
    """Return the spread of the most trusted method in the guideline convention."""
    ranked = [
        (method.rank, spread)
        for (method, convention), spread in spreads.items()
        if convention is Convention.GUIDELINE
    ]
    return min(ranked)[1] if ranked else None
