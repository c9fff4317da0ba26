"""A studies folder: its images, the best mask of each, and its patients measured.

The best mask of an image is the annotator's (``labels/final``), else a stored prediction
(``labels/original``), else what the model predicts now.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

LABELS_OF = {"acdc": ACDC_LABELS}
"""Label sets of stored masks by their dataset; `CAMUS_LABELS` for all others."""

LABEL_TAGS = ("final", "original")
"""Folders under ``labels/``, the most trusted first."""

_CACHE_BYTES = 128 * 2**20
_STUDY_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class Measured:
    """A patient's study and where each image's mask came from."""

    study: Study
    sources: dict[str, str]


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
        self._scanned: tuple[tuple[FileState | None, ...], dict[str, Record]] = ((), {})
        self._scan_lock = threading.Lock()

    def records(self) -> list[Record]:
        """All images, scanned again whenever the folder or its manifest changed.

        Raises
        ------
        DatasetError, ManifestError
            The folder is not there or its manifest is malformed.
        """
        return list(self._by_id().values())

    def record(self, image_id: str) -> Record:
        """One image's record.

        Raises
        ------
        UnknownImageError
            No image of that id.
        """
        try:
            return self._by_id()[image_id]
        except KeyError:
            raise UnknownImageError(f"no image {image_id!r} in this studies folder") from None

    def patients(self) -> list[str]:
        """Patients in the order of their first image."""
        return list(dict.fromkeys(record.patient for record in self.records()))

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
        records = [record for record in self.records() if record.patient == patient]
        if not records:
            raise UnknownPatientError(f"no patient {patient!r} in this studies folder")
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
        image_id, patient = predicted.record.image_id, predicted.record.patient
        records = [record for record in self.records() if record.patient == patient]
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
        by_patient: dict[str, list[Record]] = {}
        for record in self.records():
            by_patient.setdefault(record.patient, []).append(record)
        for patient, records in by_patient.items():
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
                    "ef": _best_ef(self.measure(patient, predict=predicted).study)
                    if labelled or predicted
                    else [],
                }
            )
        return rows

    def figure_png(self, patient: str) -> bytes:
        """The patient's picture as PNG; errors as `measure`."""
        measured = self.measure(patient)
        needed = {row.image_id for row in measured.study.phase_frames.values()}
        clips = {image_id: self._image(self.record(image_id)).clip for image_id in needed}
        return study_figure(measured.study, clips, sources=measured.sources)

    def _by_id(self) -> dict[str, Record]:
        with self._scan_lock:
            state = (_state(self.folder), _state(self.folder / manifest.MANIFEST_NAME))
            if state != self._scanned[0] or None in state[:1]:
                found = manifest.scan(self.folder, suffixes=nifti.SUFFIXES)
                records = {
                    record.image_id: record
                    for record in found
                    if record.path.name.lower().endswith(nifti.SUFFIXES)
                }
                self._scanned = (state, records)
            return self._scanned[1]

    def _prediction_key(self, record: Record) -> Hashable:
        return _state(record.path), self.predictor.card.sha256 if self.predictor else None

    def _is_quick(self, record: Record) -> bool:
        return record.phase is not Phase.CINE or self._prediction_key(record) in self._predictions

    def _image(self, record: Record) -> nifti.NiftiImage:
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
        labels = LABELS_OF.get(record.dataset, CAMUS_LABELS)
        try:
            if fresh is not None:
                return masked_image(record, fresh.masks, fresh.grid, fresh.labels), "model"
            if path is not None:
                grid = self._image(record).grid
                masks = nifti.read_mask(path)
                if masks.shape != grid.frames_shape:
                    raise ImageContentError(
                        f"labels/{tag}/{path.name}: mask {masks.shape} (T, H, W) does not fit its "
                        f"image {grid.frames_shape}"
                    )
                _check_values(masks, labels, f"labels/{tag}/{path.name}")
                return masked_image(record, masks, grid, labels), tag
            if self.predictor is None or not predict:
                self._image(record)
                raise ImageContentError("no mask is stored, and none was predicted")
            predicted = self.predict(record.image_id)
            return masked_image(record, predicted.masks, predicted.grid, predicted.labels), "model"
        except (InputError, OSError) as error:
            return without_masks(record, labels, str(error)), "none"

    def _json(self, measured: Measured, *, geometry: bool = True) -> dict[str, Any]:
        model = model_json(self.predictor) if self.predictor else None
        return study_json(measured.study, sources=measured.sources, model=model, geometry=geometry)


def _check_values(masks: NDArray[np.uint8], labels: LabelSet, name: str) -> None:
    unknown = sorted(set(np.unique(masks).tolist()) - labels.known)
    if unknown:
        known = ", ".join(f"{value} {structure}" for structure, value in labels.values)
        raise ImageContentError(f"{name}: mask values {unknown[:5]} are not known; expected 0, {known}")


def _study_bytes(measured: Measured) -> int:
    shapes = (row.geometry for row in measured.study.frames)
    return sum(2000 + (shape.contour_px.nbytes if shape else 0) for shape in shapes)


def _best_ef(study: Study) -> list[dict[str, Any]]:
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
