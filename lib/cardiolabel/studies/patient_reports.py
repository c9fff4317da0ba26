"""Patients of a studies folder as reports: EF with intervals, JSON for viewers, summary rows and figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cardiolabel.domain import Record
from cardiolabel.inference.image_cost import FRAME_BYTES, image_cost
from cardiolabel.records.layout import FINAL
from cardiolabel.reporting.figure import study_figure
from cardiolabel.reporting.result import best_ef, study_json
from cardiolabel.studies.predicted import Predicted
from cardiolabel.studies.score_reader import ScoreReader
from cardiolabel.studies.studies import PREDICTED_SOURCES, Measured, Studies
from cardiolabel.system.memory_budget import budget
from cardiolabel.uncertainty.ef_intervals import with_intervals

__all__ = ["PatientReports", "measured_json"]

_FIGURE_BYTES = 64 * 2**20


class PatientReports:
    """Measures patients, with EF intervals; safe to use from several threads.

    Parameters
    ----------
    studies : Studies
    scores : ScoreReader, optional
        Scores whose spreads make intervals narrower or wider; without, all intervals of a method have one
        width.
    """

    def __init__(self, studies: Studies, scores: ScoreReader | None = None) -> None:
        self.studies = studies
        self._scores = scores

    def measure(self, patient: str, *, predict: bool = True) -> Measured:
        """Measure a patient as `Studies.measure`, with EF intervals."""
        measured = self.studies.measure(patient, predict=predict)
        return self.with_intervals(measured, self.studies.of_patient(patient))

    def patient_json(self, patient: str, *, geometry: bool = True) -> dict[str, Any]:
        """Return a patient's study as JSON-safe values, with or without contours; errors as `measure`."""
        return measured_json(self.measure(patient), geometry=geometry)

    def result(self, image_id: str, *, model: str | None = None) -> tuple[Predicted, dict[str, Any]]:
        """Predict one image as `Studies.predict`, and measure its patient as `result_json`.

        The patient's stills without a mask are predicted in the same batch.
        """
        studies = self.studies
        record = studies.record(image_id)
        predictor = studies.models.for_record(record, model)
        with studies.memory(record) as memory:
            predicted = studies.predict_with_stills(record, predictor, left_out=memory.left_out)
            return predicted, self.result_json(predicted)

    def result_json(self, predicted: Predicted) -> dict[str, Any]:
        """Return a patient's study after a prediction, with the frames of the predicted image only.

        The prediction replaces any stored mask of the image, so that the numbers belong to the mask that the
        viewer is about to show: `Studies.measure_with`.

        Parameters
        ----------
        predicted : Predicted
            As `Studies.predict` returned it.
        """
        measured = self.studies.measure_with(predicted)
        records = self.studies.of_patient(predicted.record.patient)
        return measured_json(self.with_intervals(measured, records), only=predicted.record.image_id)

    def summary(self) -> list[dict[str, Any]]:
        """Return one JSON-safe row per patient: images, labels, and the EF by the best method.

        Nothing is predicted: ``ef`` stays empty until every image has a stored or cached mask.
        """
        rows = []
        for patient, records in self.studies.by_patient().items():
            sources = {record.image_id: self.studies.stored(record)[0] for record in records}
            labelled = any(source != "none" for source in sources.values())
            predicted = all(
                sources[record.image_id] != "none" or self.studies.is_predicted(record) for record in records
            )
            rows.append(
                {
                    "patient": patient,
                    "views": sorted({str(record.view) for record in records}),
                    "images": len(records),
                    "final": sum(source == FINAL for source in sources.values()),
                    "sources": sources,
                    "ef": best_ef(self.measure(patient, predict=predicted).study)
                    if labelled or predicted
                    else [],
                }
            )
        return rows

    def figure_png(self, patient: str) -> bytes:
        """Draw the patient's figure as PNG; errors as `measure`."""
        measured = self.measure(patient)
        shown = [self.studies.record(row.image_id) for row in measured.study.phase_frames.values()]
        costs = {record.image_id: image_cost(record.path) for record in shown}
        most = max((cost.passing for cost in costs.values()), default=0)
        with budget.reserved(patient, most + sum(cost.pixels for cost in costs.values()) + _FIGURE_BYTES):
            clips = {record.image_id: self.studies.image(record).clip for record in shown}
            return study_figure(measured.study, clips, sources=measured.sources)

    def with_intervals(self, measured: Measured, records: Sequence[Record]) -> Measured:
        """Add intervals to EFs that predictions went into; stored ones get those of the served model."""
        predicted: dict[str, list[str]] = defaultdict(list)
        for record in records:
            is_predicted = measured.sources[record.image_id] in PREDICTED_SOURCES
            if is_predicted and (name := self._model_of(record, measured)):
                predicted[name].append(record.image_id)
        if not predicted:
            return measured
        study, patient = measured.study, measured.study.patient
        spreads = self._scores.spreads_pct(patient, state=self.studies.state(patient)) if self._scores else {}
        for name, images in predicted.items():
            intervals = self.studies.models.named(name).card.intervals
            study = with_intervals(study, intervals, predicted=images, spreads_pct=spreads)
        return replace(measured, study=study)

    def _model_of(self, record: Record, measured: Measured) -> str | None:
        if used := measured.models.get(record.image_id):
            return used.name
        loaded = self.studies.models.loaded_for(record)
        return loaded.used.name if loaded else None


def measured_json(measured: Measured, *, geometry: bool = True, only: str | None = None) -> dict[str, Any]:
    """Return a measured patient as JSON-safe values.

    Parameters
    ----------
    measured : Measured
    geometry : bool
        Include contours.
    only : str, optional
        Include the frames of this image only.
    """
    used = next(iter(measured.models.values()), None)
    model = used.as_dict() if used else None
    study = measured.study
    with budget.reserved(study.patient, len(study.frames) * FRAME_BYTES):
        return study_json(study, sources=measured.sources, model=model, geometry=geometry, only=only)
