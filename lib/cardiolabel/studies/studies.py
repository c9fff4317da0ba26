"""A studies folder: its images, the best mask of each, and its patients' measurements.

The best mask of an image is the annotator's (``labels/final``), else a stored prediction
(``labels/original``), else a prediction by the model.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Phase, Record, View
from cardiolabel.errors import ImageContentError, InputError, ModelError
from cardiolabel.inference.image_cost import image_cost
from cardiolabel.inference.predictor import Predictor, UsedModel
from cardiolabel.io.image_file import ImageFile
from cardiolabel.io.images import read_image
from cardiolabel.io.mask_files import read_mask_on
from cardiolabel.measurements.records import MaskedImage, Study
from cardiolabel.measurements.remembered import RememberedGeometry
from cardiolabel.measurements.study import measure_study
from cardiolabel.models.models import Models
from cardiolabel.records.layout import ORIGINAL, TAGS, StudiesLayout, file_of
from cardiolabel.records.studies_folder import StudiesFolder, state_of
from cardiolabel.studies.patient_memory import PatientMemory, is_predicted_together
from cardiolabel.studies.patient_state import SeenImage, patient_state
from cardiolabel.studies.predicted import Predicted, Predictions, masked_image, without_masks
from cardiolabel.system.file_cache import BoundedCache, FileState
from cardiolabel.system.memory_budget import budget

PREDICTED_SOURCES = ("model", ORIGINAL)
"""Sources of masks that are predictions."""

_CACHE_BYTES = 128 * 2**20
_STUDY_BYTES = 64 * 2**20
_MASK_BYTES = 64 * 2**20


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
    """

    def __init__(
        self,
        folder: Path,
        *,
        models: Models | None = None,
        label_folders: Mapping[str, Path] | None = None,
        views: Mapping[str, View] | None = None,
    ) -> None:
        super().__init__(folder, views=views)
        self.models = models or Models()
        self._any_format = label_folders is not None
        self._labels = dict(label_folders or {tag: StudiesLayout(folder).tagged(tag) for tag in TAGS})
        self._unlabelled = (None,) * len(self._labels)
        self._predictions = Predictions(_CACHE_BYTES, read=self.image)
        self._images: BoundedCache[ImageFile] = BoundedCache(
            _CACHE_BYTES, size_of=lambda image: image.clip.pixels.nbytes
        )
        self._masks: BoundedCache[tuple[MaskedImage, str, UsedModel | None]] = BoundedCache(
            _MASK_BYTES, size_of=lambda best: best[0].masks.nbytes + 1
        )
        self._geometry = RememberedGeometry(_STUDY_BYTES)
        self._studies: BoundedCache[Measured] = BoundedCache(_STUDY_BYTES, size_of=_study_bytes)

    def forget(self) -> None:
        """Drop everything that was kept in memory."""
        self._predictions.clear()
        self._geometry.clear()
        for cache in (self._images, self._masks, self._studies):
            cache.clear()

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
        tag, path = self.stored(record)
        if path is None or tag in PREDICTED_SOURCES:
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
        return self._studies.get(key, lambda: self._measure(records, may_predict=lambda _: predict))

    def measure_with(self, predicted: Predicted) -> Measured:
        """Measure a patient with a fresh prediction in place of any stored mask of the same image.

        The patient's other stills without a mask are predicted by the same model, so that no EF mixes models;
        cines only if they are predicted already, as they take long.

        Parameters
        ----------
        predicted : Predicted
            As `predict` returned it.
        """
        image_id = predicted.record.image_id
        records = self.of_patient(predicted.record.patient)
        allowed = {
            record.image_id: record.phase is not Phase.CINE
            or record.image_id == image_id
            or self.is_predicted(record, predicted.model.name)
            for record in records
        }

        def key_of(record: Record) -> Hashable:
            """Return the cache key of an image and its mask."""
            if record.image_id == image_id:
                return record, predicted.state, self._unlabelled, True
            states = self._label_states(record)
            return record, state_of(record.path), states, allowed[record.image_id]

        return self._studies.get(
            (predicted.model, *map(key_of, records)),
            lambda: self._measure(
                records,
                may_predict=lambda record: allowed[record.image_id],
                model=predicted.model.name,
                fresh=predicted,
            ),
        )

    def best_masks(self, record: Record) -> tuple[MaskedImage, str]:
        """Return an image's best masks and their source; the content of a file never raises."""
        image, source, _ = self._remembered(record)
        return image, source

    def without_masks(self, record: Record) -> MaskedImage:
        """Return an image whose masks ``(T, H, W)`` are all background; errors as `image`."""
        grid = self.image(record).grid
        return masked_image(record, np.zeros(grid.frames_shape, dtype=np.uint8), grid, record.labels)

    def measure_drawn(self, patient: str, drawn: Mapping[str, NDArray[np.uint8]], *, source: str) -> Measured:
        """Measure a patient with masks that are not stored in place of some images' best ones.

        Parameters
        ----------
        patient : str
        drawn : mapping of str to ndarray of uint8, shape (T, H, W)
            Masks by image id.
        source : str
            What the result calls them.
        """
        images, sources, models = [], {}, {}
        for record in self.of_patient(patient):
            if record.image_id in drawn:
                grid = self.image(record).grid
                image = masked_image(record, drawn[record.image_id], grid, record.labels)
                sources[record.image_id] = source
            else:
                image, sources[record.image_id], used = self._remembered(record)
                if used:
                    models[record.image_id] = used
            images.append(image)
        return Measured(measure_study(images, measure=self._geometry), sources, models)

    def _remembered(self, record: Record) -> tuple[MaskedImage, str, UsedModel | None]:
        """Return an image's best masks as `_best`, cached while its files and the model stay the same."""
        key = record, state_of(record.path), self._label_states(record), self._filled_by(record)
        return self._masks.get(key, lambda: self._best(record, None, None, may_predict=True))

    def predict_with_stills(
        self, record: Record, predictor: Predictor, *, left_out: Container[str]
    ) -> Predicted:
        """Predict an image in one batch with its patient's stills without a mask.

        Parameters
        ----------
        record : Record
        predictor : Predictor
        left_out : container of str
            Images for which the memory does not suffice.
        """
        stills = [
            other
            for other in self.of_patient(record.patient)
            if is_predicted_together(other)
            and other.image_id not in left_out
            and (other == record or self.stored(other)[1] is None)
        ]
        self._predictions.fill(stills, predictor)
        return self._predictions.get(record, predictor)

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

    def is_predicted(self, record: Record, model: str | None = None) -> bool:
        """Return whether a cached prediction exists, by default of the first model for the view."""
        predictor = self.models.loaded_for(record, model)
        return predictor is not None and self._predictions.has(record, predictor)

    def _filled_by(self, record: Record) -> Hashable:
        """Return a key of the model that predicts a missing mask, or of the reason why none does."""
        if self.stored(record)[1] is not None:
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

    def stored(self, record: Record) -> tuple[str, Path | None]:
        """Return the source and the file of an image's best stored mask; ``"none"`` and None without one."""
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
        tag, path = self.stored(record)
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


def _study_bytes(measured: Measured) -> int:
    shapes = (row.geometry for row in measured.study.frames)
    return sum(2000 + (shape.contour_px.nbytes if shape else 0) for shape in shapes)
