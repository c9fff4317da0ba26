"""Bring the scores of a studies folder up to date; only changed patients are scored again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cardiolabel.active_learning.patient_score import ScoringImage, score_patient
from cardiolabel.active_learning.score_json import score_json, unreadable_json, unscorable_json
from cardiolabel.domain import Record
from cardiolabel.errors import InputError, MeasurementError
from cardiolabel.inference.ordered import ordered
from cardiolabel.inference.predictor import Predictor
from cardiolabel.preprocessing.recipes import Output
from cardiolabel.store.store import Store
from cardiolabel.studies.studies import Studies

_THREADS = 3
"""One thread runs the network on all cores, the others read and measure meanwhile."""


def pending(studies: Studies, store: Store) -> list[tuple[str, str]]:
    """List patients whose images, labels or model changed since they were scored, with their present state.

    Patients that were never scored come first. Patients without an image that a model segments are left out.
    """
    scored = {score.patient: score.state for score in store.scores_since(0)}
    changed = []
    for patient in studies.by_patient():
        if _predictor(studies, studies.of_patient(patient)) is not None:
            state = studies.state(patient)
            if scored.get(patient) != state:
                changed.append((patient, state))
    return sorted(changed, key=lambda patient_state: patient_state[0] in scored)


def score_folder(
    studies: Studies,
    store: Store,
    *,
    most_images: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Score every patient that `pending` lists; it may be stopped at any time and continued later.

    Parameters
    ----------
    studies : Studies
        With the models.
    store : Store
    most_images : int, optional
        Stop after so many images, at the end of a patient.
    on_progress : callable
        Told patients done and in all.

    Returns
    -------
    int
        Patients scored.

    Raises
    ------
    StoreError
        Scores cannot be written.
    """
    waiting = pending(studies, store)
    if most_images is not None:
        waiting = _first(waiting, studies, most_images)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="score") as pool:
        scored = ordered(
            pool,
            lambda patient_state: (*patient_state, _score(studies, patient_state[0])),
            waiting,
            ahead=_THREADS,
        )
        for done, (patient, state, score) in enumerate(scored, start=1):
            store.put_score(patient, state, score)
            on_progress(done, len(waiting))
    return len(waiting)


def _first(waiting: Sequence[tuple[str, str]], studies: Studies, most_images: int) -> list[tuple[str, str]]:
    chosen, images = [], 0
    for pair in waiting:
        if images >= most_images:
            break
        images += len(studies.of_patient(pair[0]))
        chosen.append(pair)
    return chosen


def _score(studies: Studies, patient: str) -> dict[str, Any]:
    records = studies.of_patient(patient)
    predictor = _predictor(studies, records)
    if predictor is None:
        raise MeasurementError(f"{patient}: no model segments its views")
    seen: list[ScoringImage] = []
    problems: dict[str, str] = {}
    for record in records:
        if record.view in predictor.recipe.views:
            try:
                seen.append(ScoringImage(record, studies.image(record), studies.drawn(record)))
            except (InputError, OSError) as error:
                problems[record.image_id] = str(error)
    if not seen:
        return unscorable_json("; ".join(problems.values()), predictor.used)
    score = score_json(score_patient(seen, predictor), predictor.used, predictor.card.intervals)
    for image_id in problems:
        score["images"][image_id] = unreadable_json()
    return score


def _predictor(studies: Studies, records: Sequence[Record]) -> Predictor | None:
    """Return the model of the first image whose model gives class probabilities."""
    for record in records:
        try:
            predictor = studies.models.for_record(record)
        except InputError:
            continue
        if predictor.recipe.output is Output.CLASSES:
            return predictor
    return None
