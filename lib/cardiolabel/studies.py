"""A studies folder: its images, the best mask of each, and its patients measured.

The best mask of an image is the annotator's (``labels/final``), else a stored prediction
(``labels/original``), else what the model predicts now.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cardiolabel.cache import BoundedCache, FileState, file_state
from cardiolabel.datasets import manifest
from cardiolabel.domain import ACDC_LABELS, CAMUS_LABELS, LabelSet, Phase, Record, View
from cardiolabel.errors import ImageContentError, InputError, UnknownImageError, UnknownPatientError
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io import nifti
from cardiolabel.measurements.records import MaskedImage, Study
from cardiolabel.measurements.study import measure_study
from cardiolabel.predicted import Predicted, masked_image, model_json, predict_file, without_masks
from cardiolabel.reporting.figure import study_figure
from cardiolabel.reporting.result import study_json

LABELS_OF = {"acdc": ACDC_LABELS, "sunnybrook": ACDC_LABELS}
"""Label sets of stored masks by their dataset; `CAMUS_LABELS` for all others."""

LABEL_TAGS = ("final", "original")
"""Folders under ``labels/``, the most trusted first."""

_CACHE_BYTES = 128 * 2**20
_STUDY_BYTES = 64 * 2**20
_CLOCK_NS = 50_000_000


@dataclass(frozen=True, eq=False)
class _Scan:
    """The folder's records, and the state of folder and manifest that they belong to."""

    state: tuple[FileState | None, FileState | None]
    by_id: dict[str, Record]
    by_patient: dict[str, list[Record]]


@dataclass(frozen=True, eq=False)
class Measured:
    """A patient's study and where each image's mask came from."""

    study: Study
    sources: dict[str, str]


def labels_of(record: Record) -> LabelSet:
    """What the values of a record's masks mean."""
    return LABELS_OF.get(record.dataset, CAMUS_LABELS)


class Studies:
    """Reads one studies folder; safe to use from several threads.

    Parameters
    ----------
    folder : Path
        Holds ``<image_id>.nii.gz``, ``manifest.csv`` and ``labels/<tag>/<image_id>.nii.gz``.
    predictor : Predictor or None
        Fills in masks that no one has stored; None measures stored masks only.
    label_folders : mapping of str to Path, optional
        Names and folders of stored masks, best first; by default ``labels/final``, then
        ``labels/original``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        predictor: Predictor | None,
        label_folders: Mapping[str, Path] | None = None,
    ) -> None:
        self.folder = folder
        self.predictor = predictor
        if label_folders is None:
            label_folders = {tag: folder / "labels" / tag for tag in LABEL_TAGS}
        self._labels = dict(label_folders)
        self._predictions: BoundedCache[Predicted] = BoundedCache(
            _CACHE_BYTES, size_of=lambda kept: kept.clip.pixels.nbytes + kept.masks.nbytes
        )
        self._images: BoundedCache[nifti.NiftiImage] = BoundedCache(
            _CACHE_BYTES, size_of=lambda kept: kept.clip.pixels.nbytes
        )
        self._studies: BoundedCache[Measured] = BoundedCache(_STUDY_BYTES, size_of=_study_bytes)
        self._scanned = _Scan((None, None), {}, {})
        self._scan_lock = threading.Lock()

    def records(self) -> list[Record]:
        """All images, scanned again whenever the folder or its manifest changed.

        Raises
        ------
        DatasetError, ManifestError
            The folder is not there or its manifest is malformed.
        """
        return list(self.by_id().values())

    def by_id(self) -> Mapping[str, Record]:
        """As `records`, by image id; the very same mapping as before while nothing changed."""
        return self._scan().by_id

    def of_patient(self, patient: str) -> list[Record]:
        """A patient's records.

        Raises
        ------
        UnknownPatientError
            No image of that patient.
        """
        try:
            return list(self._scan().by_patient[patient])
        except KeyError:
            raise UnknownPatientError(f"no patient {patient!r} in this studies folder") from None

    def record(self, image_id: str) -> Record:
        """One image's record.

        Raises
        ------
        UnknownImageError
            No image of that id.
        """
        try:
            return self.by_id()[image_id]
        except KeyError:
            raise UnknownImageError(f"no image {image_id!r} in this studies folder") from None

    def patients(self) -> list[str]:
        """Patients in the order of their first image."""
        return list(self._scan().by_patient)

    def masked(self, record: Record, masks_file: Path, *, name: str) -> MaskedImage:
        """Join an image with the masks of any file that was drawn on it.

        Parameters
        ----------
        record : Record
        masks_file : Path
        name : str
            What messages call the masks.

        Raises
        ------
        ImageReadError, ImageContentError
            The image or the masks are unreadable or not usable, or do not fit each other.
        """
        labels = labels_of(record)
        grid = self.image(record).grid
        masks = nifti.read_mask(masks_file)
        if masks.shape != grid.frames_shape:
            raise ImageContentError(
                f"{name}: mask {masks.shape} (T, H, W) does not fit its image {grid.frames_shape}"
            )
        labels.check(masks, name)
        return masked_image(record, masks, grid, labels)

    def predict(self, image_id: str) -> Predicted:
        """The model's masks for one image.

        Raises
        ------
        UnknownImageError, ImageReadError, ImageContentError
            The image is not there or not usable, or no model was given for its view.
        """
        record = self.record(image_id)
        predictor = self.predictor
        if predictor is None:
            raise ImageContentError("no model is loaded")
        if record.view is View.SAX:
            raise ImageContentError(f"model {predictor.card.name} does not segment short-axis images")
        kept = self._predictions.get(
            self._prediction_key(record), lambda: predict_file(record.path, predictor, record=record)
        )
        return replace(kept, record=record)  # the manifest may have changed since

    def measure(self, patient: str, *, predict: bool = True) -> Measured:
        """Measure a patient from the best mask of each image; never fails for what a file holds.

        Parameters
        ----------
        patient : str
        predict : bool
            Let the model fill in masks that no one has stored, where one was given.

        Raises
        ------
        UnknownPatientError
            No image of that patient.
        """
        records = self.of_patient(patient)
        key = (
            self.predictor.card.sha256 if self.predictor and predict else None,
            *((record, _state(record.path), self._label_states(record)) for record in records),
        )
        return self._studies.get(key, lambda: self._measure(records, may_predict=lambda _: predict))

    def patient_json(self, patient: str, *, geometry: bool = True) -> dict[str, Any]:
        """A patient's study as JSON-safe values, with or without contours; errors as `measure`."""
        return self._json(self.measure(patient), geometry=geometry)

    def result_json(self, predicted: Predicted) -> dict[str, Any]:
        """The patient of a freshly predicted image, with the frames of this image only.

        The prediction takes the place of any stored mask of the same image, so that the numbers
        belong to the mask that the viewer is about to show. Of the patient's other images, stills
        without a mask are predicted too; cines only where that was done before, as they take long.

        Parameters
        ----------
        predicted : Predicted
            As `predict` gave it.
        """
        image_id = predicted.record.image_id
        records = self.of_patient(predicted.record.patient)
        measured = self._measure(records, may_predict=self._is_quick, fresh={image_id: predicted})
        found = self._json(measured)
        found["frames"] = [frame for frame in found["frames"] if frame["image_id"] == image_id]
        return found

    def summary(self) -> list[dict[str, Any]]:
        """One JSON-safe row per patient: images, labels, and the EF by the best method.

        Nothing is predicted here: ``ef`` stays empty until masks are stored, or were predicted for
        every image that has none.
        """
        rows = []
        for patient, records in self._scan().by_patient.items():
            sources = {record.image_id: self._stored(record)[0] for record in records}
            labelled = any(source != "none" for source in sources.values())
            predicted = all(
                sources[record.image_id] != "none" or self._prediction_key(record) in self._predictions
                for record in records
            )
            rows.append(
                {
                    "patient": patient,
                    "views": sorted({str(record.view) for record in records}),
                    "images": len(records),
                    "final": sum(source == "final" for source in sources.values()),
                    "sources": sources,
                    "ef": best_ef(self.measure(patient, predict=predicted).study)
                    if labelled or predicted
                    else [],
                }
            )
        return rows

    def figure_png(self, patient: str) -> bytes:
        """The patient's picture as PNG; errors as `measure`."""
        measured = self.measure(patient)
        needed = {row.image_id for row in measured.study.phase_frames.values()}
        clips = {image_id: self.image(self.record(image_id)).clip for image_id in needed}
        return study_figure(measured.study, clips, sources=measured.sources)

    def _scan(self) -> _Scan:
        with self._scan_lock:
            state: tuple[FileState | None, FileState | None]
            state = _state(self.folder), _state(self.folder / manifest.MANIFEST_NAME)
            if state != self._scanned.state or state[0] is None:
                found = manifest.scan(self.folder, suffixes=nifti.SUFFIXES)
                readable = [one for one in found if one.path.name.lower().endswith(nifti.SUFFIXES)]
                by_patient: dict[str, list[Record]] = {}
                for record in readable:
                    by_patient.setdefault(record.patient, []).append(record)
                if any(known and time.time_ns() - known[1] < _CLOCK_NS for known in state):
                    state = None, None  # another change within the clock's grain would look the same
                self._scanned = _Scan(state, {record.image_id: record for record in readable}, by_patient)
            return self._scanned

    def _prediction_key(self, record: Record) -> Hashable:
        return _state(record.path), self.predictor.card.sha256 if self.predictor else None

    def _is_quick(self, record: Record) -> bool:
        return record.phase is not Phase.CINE or self._prediction_key(record) in self._predictions

    def image(self, record: Record) -> nifti.NiftiImage:
        """A record's image, read once while it stays the same; errors as `nifti.read`."""
        return self._images.get(_state(record.path), lambda: nifti.read(record.path))

    def _label_states(self, record: Record) -> tuple[FileState | None, ...]:
        return tuple(_state(path) for _, path in self._label_paths(record))

    def _label_paths(self, record: Record) -> list[tuple[str, Path]]:
        return [(tag, folder / f"{record.image_id}.nii.gz") for tag, folder in self._labels.items()]

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
        fresh: Mapping[str, Predicted] | None = None,
    ) -> Measured:
        sources: dict[str, str] = {}
        images = []
        for record in records:
            given = (fresh or {}).get(record.image_id)
            image, sources[record.image_id] = self._masked(record, given, predict=may_predict(record))
            images.append(image)
        return Measured(measure_study(images), sources)

    def _masked(self, record: Record, fresh: Predicted | None, *, predict: bool) -> tuple[MaskedImage, str]:
        tag, path = self._stored(record)
        labels = labels_of(record)
        try:
            if fresh is not None:
                return masked_image(record, fresh.masks, fresh.grid, fresh.labels), "model"
            if path is not None:
                return self.masked(record, path, name=f"labels/{tag}/{path.name}"), tag
            if self.predictor is None or not predict:
                self.image(record)
                raise ImageContentError("no mask is stored, and none was predicted")
            predicted = self.predict(record.image_id)
            return masked_image(record, predicted.masks, predicted.grid, predicted.labels), "model"
        except (InputError, OSError) as error:
            return without_masks(record, labels, str(error)), "none"

    def _json(self, measured: Measured, *, geometry: bool = True) -> dict[str, Any]:
        model = model_json(self.predictor) if self.predictor else None
        return study_json(measured.study, sources=measured.sources, model=model, geometry=geometry)


def _study_bytes(measured: Measured) -> int:
    shapes = (row.geometry for row in measured.study.frames)
    return sum(2000 + (shape.contour_px.nbytes if shape else 0) for shape in shapes)


def best_ef(study: Study) -> list[dict[str, Any]]:
    """EF of the most trusted method that could be measured, in each convention."""
    for row in study.rows:
        if row.ef_pct is not None:
            return [
                {
                    "method": str(same.method), "convention": str(same.convention),
                    "ef_pct": round(same.ef_pct, 1),
                    "quality": [str(flag) for flag in same.quality],
                }
                for same in study.rows
                if same.method is row.method and same.ef_pct is not None
            ]  # fmt: skip
    return []


def _state(path: Path) -> FileState | None:
    try:
        return file_state(path)
    except OSError:
        return None
