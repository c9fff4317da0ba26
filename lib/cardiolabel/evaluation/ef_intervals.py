"""Calibration of EF intervals on patients with references, and the coverage that they reach."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cardiolabel.active_learning.patient_score import ScoringImage, score_patient
from cardiolabel.domain import Record
from cardiolabel.errors import InputError
from cardiolabel.inference.predictor import Predictor
from cardiolabel.networks.weights import read_card, write_card
from cardiolabel.studies.studies import Studies
from cardiolabel.uncertainty.calibration import LEAST_PATIENTS, LEVEL, Calibration, calibrate
from cardiolabel.uncertainty.ef_intervals import calibration_key
from cardiolabel.uncertainty.out_of_distribution import LEAST_IMAGES, learn_subspace
from cardiolabel.uncertainty.swapped_views import ViewThumbnails, learn_direction

_HALVES = 200


@dataclass(frozen=True)
class Observed:
    """One patient's EF from predicted masks, its spread over sampled masks, and the reference EF, in
    points.
    """

    ef_pct: float
    spread_pct: float
    reference_pct: float


def observe(
    predictor: Predictor,
    records: Sequence[Record],
    references: Studies,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, dict[str, Observed]], dict[str, ViewThumbnails]]:
    """Predict and score patients whose final labels are known.

    Parameters
    ----------
    predictor : Predictor
    records : sequence of Record
        All images of patients that the model never saw.
    references : Studies
        Whose stored masks are those to compare with.
    on_progress : callable
        Told patients done and in all.

    Returns
    -------
    observed : dict
        By `calibration_key`, then by patient; patients without an EF on both sides are left out.
    pictured : dict
        View and `thumbnail` of every image, by patient.
    """
    of_patient: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        of_patient[record.patient].append(record)
    observations: dict[str, dict[str, Observed]] = defaultdict(dict)
    pictured: dict[str, ViewThumbnails] = {}
    for done, (patient, own) in enumerate(sorted(of_patient.items()), start=1):
        on_progress(done, len(of_patient))
        try:
            score = score_patient(
                [ScoringImage(record, references.image(record)) for record in own], predictor
            )
        except InputError:
            continue
        pictured[patient] = [
            (record.view, image.embedding) for record, image in zip(own, score.images, strict=True)
        ]
        reference = references.measure(patient, predict=False).study
        reference_efs = {(row.method, row.convention): row.ef_pct for row in reference.rows}
        ours = {(row.method, row.convention): row.ef_pct for row in score.study.rows}
        for way, draws in score.draws.items():
            ef, reference_ef = ours[way], reference_efs.get(way)
            if ef is not None and reference_ef is not None:
                observations[calibration_key(*way)][patient] = Observed(ef, draws.spread_pct, reference_ef)
    return dict(observations), pictured


def calibrate_card(
    name: str,
    weights: Path,
    records: Sequence[Record],
    references: Studies,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, dict[str, Observed]]:
    """Add EF intervals, image subspace and view direction of a model to its card.

    An entry that there are too few patients for stays as it is.

    Parameters
    ----------
    name : str
        The model.
    weights : Path
        Its folder.
    records, references, on_progress
        As `observe`, which the result is of.

    Raises
    ------
    MissingWeightsError, CorruptWeightsError
        As `read_card`.
    OSError
        The card cannot be written.
    """
    predictor = Predictor.load(name, weights)
    observed, pictured = observe(predictor, records, references, on_progress=on_progress)
    card = read_card(name, weights)
    if intervals := calibrations(observed):
        card = replace(card, intervals={way: calibration.as_dict() for way, calibration in intervals.items()})
    if sum(map(len, pictured.values())) >= LEAST_IMAGES:
        thumbnails = {patient: [thumbnail for _, thumbnail in images] for patient, images in pictured.items()}
        card = replace(card, pictures=learn_subspace(thumbnails).as_dict())
    if views := learn_direction(pictured):
        card = replace(card, views=views.as_dict())
    write_card(card, folder=weights)
    return observed


def calibrations(
    observed: Mapping[str, Mapping[str, Observed]], *, level: float = LEVEL
) -> dict[str, Calibration]:
    """Calibrate every method and convention that has enough patients."""
    return {
        way: _calibrated(list(patients.values()), level)
        for way, patients in observed.items()
        if len(patients) >= LEAST_PATIENTS
    }


def coverage(observed: Sequence[Observed], *, level: float = LEVEL, seed: int = 0) -> tuple[float, float]:
    """Return the share of EFs within their intervals, and the mean width in points, by cross-validation.

    The mean of 200 random halves: one half calibrates, the other is counted.

    Raises
    ------
    ValueError
        Fewer than twice `LEAST_PATIENTS`.
    """
    generator = np.random.default_rng(seed)
    held, widths = [], []
    for _ in range(_HALVES):
        order = generator.permutation(len(observed))
        half = len(order) // 2
        calibration = _calibrated([observed[index] for index in order[:half]], level)
        for observation in (observed[index] for index in order[half:]):
            reach = calibration.half_pct(observation.spread_pct)
            held.append(abs(observation.ef_pct - observation.reference_pct) <= reach)
            widths.append(2 * reach)
    return float(np.mean(held)), float(np.mean(widths))


def _calibrated(observed: Sequence[Observed], level: float) -> Calibration:
    return calibrate(
        [observation.ef_pct - observation.reference_pct for observation in observed],
        [observation.spread_pct for observation in observed],
        level=level,
    )
