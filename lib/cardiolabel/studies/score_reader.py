"""Scores of patients, read from the store as they are written."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Collection, Mapping
from typing import Any

from cardiolabel.domain import Convention, Method
from cardiolabel.store.scores import Scored
from cardiolabel.store.store import Store
from cardiolabel.uncertainty.ef_distribution import MethodKey

__all__ = ["ScoreReader", "spreads_of"]


class ScoreReader:
    """Scores of a studies folder's patients; safe to use from several threads.

    Parameters
    ----------
    store : Store
        Where `cardiolabel.active_learning.score_folder` writes them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._scores: dict[str, Scored] = {}
        self._sequence, self._read_at = 0, -math.inf
        self._lock = threading.Lock()

    @property
    def sequence(self) -> int:
        """Sequence number of the last score that was read."""
        return self._sequence

    def scores(self, *, at_most_s: float = 0.0) -> dict[str, Scored]:
        """Return the scores by patient, at most so many seconds old."""
        with self._lock:
            if time.monotonic() - self._read_at < at_most_s:
                return self._scores
            self._read_at = time.monotonic()
            for score in self._store.scores_since(self._sequence):
                self._scores[score.patient] = score
                self._sequence = score.sequence
            return self._scores

    def forget(self, patients: Collection[str]) -> None:
        """Drop the scores of patients who are gone."""
        with self._lock:
            for patient in patients:
                self._scores.pop(patient, None)

    def spreads_pct(self, patient: str, *, state: str) -> Mapping[MethodKey, float]:
        """Return EF's spread in points by method and convention, at most a second old.

        Parameters
        ----------
        patient : str
        state : str
            `Studies.state` of the patient; scores of another state give no spreads.
        """
        scored = self.scores(at_most_s=1.0).get(patient)
        return spreads_of(scored.score) if scored and scored.state == state else {}


def spreads_of(score: Mapping[str, Any]) -> dict[MethodKey, float]:
    """Return EF's spread in points by method and convention, from a patient's scores."""
    return {(Method(row["method"]), Convention(row["convention"])): row["spread_pct"] for row in score["ef"]}
