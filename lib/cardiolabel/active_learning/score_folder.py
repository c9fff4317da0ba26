"""Scores of a studies folder brought up to date: only patients of which something changed are seen again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cardiolabel.active_learning.patient_score import Seen, score_patient
from cardiolabel.active_learning.score_json import score_json, unreadable_json, unscorable_json
from cardiolabel.domain import Record
from cardiolabel.errors import InputError, MeasurementError
from cardiolabel.inference.ordered import ordered
from cardiolabel.inference.predictor import Predictor
from cardiolabel.preprocessing.recipes import Output
from cardiolabel.store.store import Store
from cardiolabel.studies.studies import Studies
from cardiolabel.uncertainty.calibration import Calibration

_THREADS = 3
"""The network has all cores; the others read and measure meanwhile."""


def pending(studies: Studies, store: Store) -> list[tuple[str, str]]:
    """Patients whose score is of other images, labels or models than there are now, and that state.

    Those that were never scored come first. Patients of no view that a model is for are left out.
    """
    known = {one.patient: one.state for one in store.scores_since(0)}
    changed = []
    for patient in studies.by_patient():
        if _predictor(studies, studies.of_patient(patient)) is not None:
            state = studies.state(patient)
            if known.get(patient) != state:
                changed.append((patient, state))
    return sorted(changed, key=lambda one: one[0] in known)


def score_folder(
    studies: Studies,
    store: Store,
    *,
    most_images: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Score every patient that `pending` names; stop it whenever, and go on later.

    Parameters
    ----------
    studies : Studies
        With the models.
    store : Store
    most_images : int, optional
        End after so many, with the patient begun.
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
        scored = ordered(pool, lambda one: (*one, _score(studies, one[0])), waiting, ahead=_THREADS)
        for done, (patient, state, score) in enumerate(scored, start=1):
            store.put_score(patient, state, score)
            on_progress(done, len(waiting))
    return len(waiting)


def _first(waiting: Sequence[tuple[str, str]], studies: Studies, most_images: int) -> list[tuple[str, str]]:
    kept, images = [], 0
    for one in waiting:
        if images >= most_images:
            break
        images += len(studies.of_patient(one[0]))
        kept.append(one)
    return kept


def _score(studies: Studies, patient: str) -> dict[str, Any]:
    records = studies.of_patient(patient)
    predictor = _predictor(studies, records)
    if predictor is None:
        raise MeasurementError(f"{patient}: no model is for its images")
    seen: list[Seen] = []
    problems: dict[str, str] = {}
    for record in records:
        if record.view in predictor.recipe.views:
            try:
                seen.append(Seen(record, studies.image(record), studies.drawn(record)))
            except (InputError, OSError) as error:
                problems[record.image_id] = str(error)
    if not seen:
        return unscorable_json("; ".join(problems.values()), predictor.used)
    calibrations = Calibration.from_card(predictor.card.intervals)
    found = score_json(score_patient(seen, predictor), predictor.used, calibrations)
    for image_id in problems:
        found["images"][image_id] = unreadable_json()
    return found


def _predictor(studies: Studies, records: Sequence[Record]) -> Predictor | None:
    """The preferred model for a patient's first image that says how sure it is."""
    for record in records:
        try:
            predictor = studies.models.for_record(record)
        except InputError:
            continue
        if predictor.recipe.output is Output.CLASSES:
            return predictor
    return None
