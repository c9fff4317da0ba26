"""A studies folder: its images, the best mask of each, and its patients' measurements.

The best mask of an image is the annotator's (``labels/final``), else a stored prediction
(``labels/original``), else a prediction by the model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cardiolabel.domain import Phase, Record
from cardiolabel.errors import ImageContentError, InputError, ModelError
from cardiolabel.inference.image_cost import FRAME_BYTES, image_cost
from cardiolabel.inference.predictor import UsedModel
from cardiolabel.io.image_file import ImageFile
from cardiolabel.io.images import read_image
from cardiolabel.io.mask_files import read_mask_on
from cardiolabel.measurements.records import MaskedImage, Study
from cardiolabel.measurements.remembered import RememberedGeometry
from cardiolabel.measurements.study import measure_study
from cardiolabel.models.models import Models
from cardiolabel.records.layout import FINAL, ORIGINAL, TAGS, StudiesLayout, file_of
from cardiolabel.records.studies_folder import StudiesFolder, state_of
from cardiolabel.reporting.figure import study_figure
from cardiolabel.reporting.result import best_ef, study_json
from cardiolabel.studies.intervals import SeenImage, patient_state, with_model_intervals
from cardiolabel.studies.patient_memory import PatientMemory, is_predicted_together
from cardiolabel.studies.predicted import Predicted, Predictions, masked_image, without_masks
from cardiolabel.system.file_cache import BoundedCache, FileState
from cardiolabel.system.memory_budget import budget
from cardiolabel.uncertainty.ef_distribution import MethodKey
from cardiolabel.uncertainty.ef_intervals import NO_SPREADS

_PREDICTED = ("model", ORIGINAL)
"""Sources of masks that are predictions."""

_CACHE_BYTES = 128 * 2**20
_STUDY_BYTES = 64 * 2**20
_FIGURE_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class Measured:
    """A patient's study with the source of each image's mask, and the model of predicted ones."""

    study: Study
    sources: dict[str, str]
    models: dict[str, UsedModel]


class Studies(StudiesFolder):
    """Reader of one studies folder; safe to use from several threads.

    Parameters
    ----------
    folder : Path
        Holds ``<image_id>.nii.gz``, ``manifest.csv`` and ``labels/<tag>/<image_id>.nii.gz``.
    models : Models, optional
        Fill in masks that no one has stored; without any, stored masks only are measured.
    label_folders : mapping of str to Path, optional
        Names and folders of masks of any format, best first; by default ``labels/final``, then
        ``labels/original``, which hold ``.nii.gz`` only.
    spreads_pct : callable, optional
        Gives what is known of the spread of a patient's EF, and of which `state` of it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        models: Models | None = None,
        label_folders: Mapping[str, Path] | None = None,
        spreads_pct: Callable[[str], tuple[str, Mapping[MethodKey, float]] | None] = lambda patient: None,
    ) -> None:
        super().__init__(folder)
        self.models = models or Models()
        self._spreads_pct = spreads_pct
        self._any_format = label_folders is not None
        self._labels = dict(label_folders or {tag: StudiesLayout(folder).tagged(tag) for tag in TAGS})
        self._unlabelled = (None,) * len(self._labels)
        self._predictions = Predictions(_CACHE_BYTES, read=self.image)
        self._images: BoundedCache[ImageFile] = BoundedCache(
            _CACHE_BYTES, size_of=lambda image: image.clip.pixels.nbytes
        )
        self._geometry = RememberedGeometry(_STUDY_BYTES)
        self._studies: BoundedCache[Measured] = BoundedCache(_STUDY_BYTES, size_of=_study_bytes)

    def image(self, record: Record) -> ImageFile:
        """Return a record's image, cached while its file stays the same; errors as `read_image`."""
        return self._images.get(state_of(record.path), lambda: read_image(record.path))

    @contextmanager
    def memory(self, record: Record) -> Iterator[PatientMemory]:
        """Reserve the memory for an image and for measuring its patient, within the block.

        Raises
        ------
        TooLargeError, OverloadedError
            The image takes more than the limit, or more than is left now.
        """
        if record.path.is_file():
            budget.check(record.path.name, image_cost(record.path).passing)
        memory = PatientMemory.of(self.of_patient(record.patient), first=record.image_id)
        with budget.reserved(record.patient, memory.needed):
            yield memory

    def masked(self, record: Record, masks_file: Path) -> MaskedImage:
        """Join an image with any program's mask file of it.

        Raises
        ------
        ImageReadError, ImageContentError
            The image or the masks are unreadable or not usable, or do not lie on each other.
        """
        grid = self.image(record).grid
        masks = read_mask_on(masks_file, grid, record.labels, stack=record.is_stack)
        return masked_image(record, masks, grid, record.labels)

    def drawn(self, record: Record) -> MaskedImage | None:
        """Return a person's mask of an image, from ``labels/final``; None without one. Errors as `masked`."""
        tag, path = self._stored(record)
        if path is None or tag in _PREDICTED:
            return None
        return self.masked(record, path)

    def predict(self, image_id: str, *, model: str | None = None) -> Predicted:
        """Predict one image.

        Parameters
        ----------
        image_id : str
        model : str, optional
            Name of the model; by default the first one for the image's view.

        Raises
        ------
        UnknownImageError, ImageReadError, ImageContentError
            The image is not there or not usable, or no model is for its view.
        InputError, MissingWeightsError, CorruptWeightsError
            There is no such model, or it cannot be used.
        """
        record = self.record(image_id)
        with self.memory(record):
            return self._predictions.get(record, self.models.for_record(record, model))

    def result(self, image_id: str, *, model: str | None = None) -> tuple[Predicted, dict[str, Any]]:
        """Predict one image as `predict`, and measure its patient as `result_json`.

        The patient's stills without a mask are predicted in the same batch.
        """
        record = self.record(image_id)
        predictor = self.models.for_record(record, model)
        with self.memory(record) as memory:
            stills = [
                other
                for other in self.of_patient(record.patient)
                if is_predicted_together(other)
                and other.image_id not in memory.left_out
                and (other == record or self._stored(other)[1] is None)
            ]
            self._predictions.fill(stills, predictor)
            predicted = self._predictions.get(record, predictor)
            return predicted, self.result_json(predicted)

    def model_json(self, record: Record) -> dict[str, str] | None:
        """Return the model that predicts a record's view as JSON-safe values, if one is loaded."""
        predictor = self.models.loaded_for(record)
        return predictor.used.as_dict() if predictor else None

    def measure(self, patient: str, *, predict: bool = True) -> Measured:
        """Measure a patient from the best mask of each image; the content of a file never raises.

        Parameters
        ----------
        patient : str
        predict : bool
            Let the first model for its view fill in a mask that no one has stored.

        Raises
        ------
        UnknownPatientError
            No image of that patient.
        """
        records = self.of_patient(patient)
        key = tuple(
            (
                record,
                state_of(record.path),
                self._label_states(record),
                self._filled_by(record) if predict else None,
            )
            for record in records
        )
        measured = self._studies.get(key, lambda: self._measure(records, may_predict=lambda _: predict))
        return self._with_intervals(measured, records)

    def patient_json(self, patient: str, *, geometry: bool = True) -> dict[str, Any]:
        """Return a patient's study as JSON-safe values, with or without contours; errors as `measure`."""
        return self._json(self.measure(patient), geometry=geometry)

    def result_json(self, predicted: Predicted) -> dict[str, Any]:
        """Return a patient's study after a prediction, with the frames of the predicted image only.

        The prediction replaces any stored mask of the image, so that the numbers belong to the mask that the
        viewer is about to show. The patient's other stills without a mask are predicted by the same model, so
        that no EF mixes models; cines only if they are predicted already, as they take long.

        Parameters
        ----------
        predicted : Predicted
            As `predict` gave it.
        """
        image_id = predicted.record.image_id
        records = self.of_patient(predicted.record.patient)
        allowed = {
            record.image_id: record.phase is not Phase.CINE
            or record.image_id == image_id
            or self._was_predicted(record, predicted.model.name)
            for record in records
        }

        def seen(record: Record) -> Hashable:
            """Return the cache key of an image and its mask."""
            if record.image_id == image_id:
                return record, predicted.state, self._unlabelled, True
            states = self._label_states(record)
            return record, state_of(record.path), states, allowed[record.image_id]

        measured = self._studies.get(
            (predicted.model, *map(seen, records)),
            lambda: self._measure(
                records,
                may_predict=lambda record: allowed[record.image_id],
                model=predicted.model.name,
                fresh=predicted,
            ),
        )
        return self._json(self._with_intervals(measured, records), only=image_id)

    def state(self, patient: str) -> str:
        """Return a token that changes whenever the patient's images, labels or models do; errors as
        `measure`.

        It stays the same where the folder is moved.
        """
        return patient_state(
            [
                SeenImage(record, state_of(record.path), self._label_states(record), self._filled_by(record))
                for record in self.of_patient(patient)
            ]
        )

    def _with_intervals(self, measured: Measured, records: list[Record]) -> Measured:
        """Add intervals to EFs that predictions went into; stored predictions get those of the served
        model.
        """
        predicted: dict[str, list[str]] = defaultdict(list)
        for record in records:
            if measured.sources[record.image_id] in _PREDICTED and (name := self._model_of(record, measured)):
                predicted[name].append(record.image_id)
        if not predicted:
            return measured
        patient = measured.study.patient
        spreads = self._spreads_pct(patient)
        study = with_model_intervals(
            measured.study,
            predicted,
            {name: self.models.named(name).card.intervals for name in predicted},
            spreads_pct=spreads[1] if spreads and spreads[0] == self.state(patient) else NO_SPREADS,
        )
        return replace(measured, study=study)

    def _model_of(self, record: Record, measured: Measured) -> str | None:
        if used := measured.models.get(record.image_id):
            return used.name
        loaded = self.models.loaded_for(record)
        return loaded.used.name if loaded else None

    def summary(self) -> list[dict[str, Any]]:
        """Return one JSON-safe row per patient: images, labels, and the EF by the best method.

        Nothing is predicted: ``ef`` stays empty until every image has a stored or cached mask.
        """
        rows = []
        for patient, records in self.by_patient().items():
            sources = {record.image_id: self._stored(record)[0] for record in records}
            labelled = any(source != "none" for source in sources.values())
            predicted = all(
                sources[record.image_id] != "none" or self._was_predicted(record) for record in records
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
        shown = [self.record(row.image_id) for row in measured.study.phase_frames.values()]
        costs = {record.image_id: image_cost(record.path) for record in shown}
        most = max((cost.passing for cost in costs.values()), default=0)
        with budget.reserved(patient, most + sum(cost.pixels for cost in costs.values()) + _FIGURE_BYTES):
            clips = {record.image_id: self.image(record).clip for record in shown}
            return study_figure(measured.study, clips, sources=measured.sources)

    def _was_predicted(self, record: Record, model: str | None = None) -> bool:
        predictor = self.models.loaded_for(record, model)
        return predictor is not None and self._predictions.has(record, predictor)

    def _filled_by(self, record: Record) -> Hashable:
        """Return a key of the model that predicts a missing mask, or of the reason why none does."""
        if self._stored(record)[1] is not None:
            return None
        try:
            return self.models.for_record(record).used
        except (InputError, ModelError) as error:
            return str(error)

    def _label_states(self, record: Record) -> tuple[FileState | None, ...]:
        return tuple(state_of(path) for _, path in self._label_paths(record))

    def _label_paths(self, record: Record) -> list[tuple[str, Path]]:
        if self._any_format:
            return [(tag, self.label_file(folder, record)) for tag, folder in self._labels.items()]
        return [(tag, file_of(folder, record.image_id)) for tag, folder in self._labels.items()]

    def _stored(self, record: Record) -> tuple[str, Path | None]:
        for tag, path in self._label_paths(record):
            if path.is_file():
                return tag, path
        return "none", None

    def _measure(
        self,
        records: list[Record],
        *,
        may_predict: Callable[[Record], bool],
        model: str | None = None,
        fresh: Predicted | None = None,
    ) -> Measured:
        sources: dict[str, str] = {}
        models: dict[str, UsedModel] = {}
        images = []
        memory = PatientMemory.of(records, first=fresh.record.image_id if fresh else "")
        with budget.reserved(records[0].patient, memory.needed):
            for record in records:
                prediction = fresh if fresh and fresh.record.image_id == record.image_id else None
                if reason := memory.left_out.get(record.image_id):
                    image, source, used = without_masks(record, record.labels, reason), "none", None
                else:
                    image, source, used = self._best(
                        record, prediction, model, may_predict=may_predict(record)
                    )
                images.append(image)
                sources[record.image_id] = source
                if used:
                    models[record.image_id] = used
            return Measured(measure_study(images, measure=self._geometry), sources, models)

    def _best(
        self, record: Record, fresh: Predicted | None, model: str | None, *, may_predict: bool
    ) -> tuple[MaskedImage, str, UsedModel | None]:
        """Return an image's best mask, its source, and the model of a prediction."""
        tag, path = self._stored(record)
        try:
            if path is not None and fresh is None:
                return self.masked(record, path), tag, None
            prediction = fresh or self._predicted(record, model, may_predict=may_predict)
            return (
                masked_image(record, prediction.masks, prediction.grid, prediction.labels),
                "model",
                prediction.model,
            )
        except OSError as error:  # whose own message would name folders
            reason = f"{path.name if path else record.path.name}: cannot be read ({error.strerror})"
            return without_masks(record, record.labels, reason), "none", None
        except (InputError, ModelError) as error:
            return without_masks(record, record.labels, str(error)), "none", None

    def _predicted(self, record: Record, model: str | None, *, may_predict: bool) -> Predicted:
        if may_predict and self.models.names:
            return self.predict(record.image_id, model=model)
        self.image(record)
        raise ImageContentError("no mask is stored, and none was predicted")

    def _json(self, measured: Measured, *, geometry: bool = True, only: str | None = None) -> dict[str, Any]:
        used = next(iter(measured.models.values()), None)
        model = used.as_dict() if used else None
        study = measured.study
        with budget.reserved(study.patient, len(study.frames) * FRAME_BYTES):
            return study_json(study, sources=measured.sources, model=model, geometry=geometry, only=only)


def _study_bytes(measured: Measured) -> int:
    shapes = (row.geometry for row in measured.study.frames)
    return sum(2000 + (shape.contour_px.nbytes if shape else 0) for shape in shapes)
