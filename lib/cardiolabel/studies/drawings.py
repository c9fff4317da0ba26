"""Outlines that a person draws over an image's best masks: opened, measured unsaved, turned into masks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Record
from cardiolabel.errors import ImageContentError, InputError, MeasurementError, ModelError
from cardiolabel.geometry.lofted_surface import lofted_surface
from cardiolabel.measurements.outlines import CAVITY, Outlines, fill_outlines, trace_outlines
from cardiolabel.measurements.records import MaskedImage
from cardiolabel.records.layout import FINAL
from cardiolabel.reporting.result import study_json
from cardiolabel.store.store import Store
from cardiolabel.studies.patient_reports import PatientReports
from cardiolabel.studies.predicted import masked_image

__all__ = ["Drawing", "Drawings", "OpenedImage"]

DRAWN = "drawn"
"""Source of masks that are not stored."""


@dataclass(frozen=True, eq=False)
class OpenedImage:
    """An image's best masks as a person begins to correct them.

    Parameters
    ----------
    record : Record
    image : MaskedImage
        Its masks are empty where there are none, and ``problem`` says why.
    source : str
        ``final``, ``original``, ``model`` or ``none``.
    shape : tuple of int
        (T, H, W) of the image.
    version : int
        That of the final label, 0 where there is none.
    """

    record: Record
    image: MaskedImage
    source: str
    shape: tuple[int, int, int]
    version: int

    def json(self) -> str:
        """Return it as JSON, with outlines by frame and structure; points are (row, col) in pixels."""
        record, image = self.record, self.image
        frames, rows, cols = self.shape
        fields = {
            "image": record.image_id,
            "patient": record.patient,
            "view": str(record.view),
            "phase": str(record.phase),
            "is_stack": record.is_stack,
            "frames": frames,
            "rows": rows,
            "cols": cols,
            "row_mm": image.spacing.row_mm if image.spacing else None,
            "col_mm": image.spacing.col_mm if image.spacing else None,
            "slice_spacing_mm": image.slice_spacing_mm,
            "frame_rate_hz": record.frame_rate_hz,
            "training_consent": record.training_consent,
            "structures": [name for name, _ in record.labels.values],
            "source": self.source,
            "reason": image.problem,
            "version": self.version,
            "outlines": [
                {
                    name: [np.round(outline, 2).tolist() for outline in traced]
                    for name, traced in trace_outlines(mask, image.labels).items()
                }
                for mask in image.masks
            ],
        }
        return json.dumps(fields)


@dataclass(frozen=True, eq=False)
class Drawing:
    """What a person drew of an image.

    Parameters
    ----------
    image_id : str
    frames : mapping of int to Outlines
        Changed outlines by frame from 0.
    painted : mapping of int to ndarray of uint8, shape (H, W)
        Whole masks of frames that were painted.
    """

    image_id: str
    frames: Mapping[int, Outlines]
    painted: Mapping[int, NDArray[np.uint8]] = field(default_factory=dict)


class Drawings:
    """Opens and measures images while somebody draws; safe to use from several threads.

    Parameters
    ----------
    reports : PatientReports
    store : Store
    """

    def __init__(self, reports: PatientReports, store: Store) -> None:
        self._reports, self._studies, self._store = reports, reports.studies, store

    def opened(self, image_id: str, masks_file: Path | None = None, *, is_blind: bool = False) -> OpenedImage:
        """Return an image with its best masks, which the model predicts where none are stored.

        Parameters
        ----------
        image_id : str
        masks_file : Path, optional
            Masks to show in place of the best ones.
        is_blind : bool
            Show the model's masks whatever people drew, for a repeat reading.

        Raises
        ------
        UnknownImageError
            No image of that id.
        ImageReadError, ImageContentError
            The image cannot be read, or ``masks_file`` is not of it.
        TooLargeError, OverloadedError
            It takes more memory than the limit, or than is left now.
        """
        record = self._studies.record(image_id)
        with self._studies.memory(record):
            shape = self._studies.image(record).grid.frames_shape
            current = self._store.label(image_id, FINAL)
            if masks_file:
                image, source = self._studies.masked(record, masks_file), FINAL
            elif is_blind:
                return OpenedImage(record, self._predicted(record), "model", shape, 0)
            else:
                image, source = self._studies.best_masks(record)
            return OpenedImage(record, image, source, shape, current.number if current else 0)

    def surface_json(self, image_id: str) -> str:
        """Return the endocardium of a short-axis stack: vertices in mm, triangles, spanned slices.

        Raises
        ------
        MeasurementError
            The image is no stack, its size is unknown, or too few slices have a cavity; the message says so.
        UnknownImageError, ImageReadError, ImageContentError, TooLargeError, OverloadedError
            As `opened`.
        """
        record = self._studies.record(image_id)
        if not record.is_stack:
            raise MeasurementError(f"{image_id} is no short-axis stack")
        with self._studies.memory(record):
            image, _ = self._studies.best_masks(record)
        if image.spacing is None or image.slice_spacing_mm is None:
            raise MeasurementError(
                f"{image_id}: the size of its pixels, or the distance of its slices, is unknown"
            )
        to_mm = np.array([image.spacing.col_mm, image.spacing.row_mm])
        outlines = [trace_outlines(mask, image.labels).get(CAVITY) for mask in image.masks]
        contours = [each[0][:, ::-1] * to_mm if each else None for each in outlines]
        heights = [index * image.slice_spacing_mm for index in range(len(contours))]
        try:
            surface = lofted_surface(contours, heights)
        except ValueError:
            raise MeasurementError(f"{image_id}: fewer than two slices have a cavity") from None
        fields = {
            "image": image_id,
            "vertices_mm": np.round(surface.vertices_mm, 2).tolist(),
            "triangles": surface.triangles.tolist(),
            "spanned": list(surface.spanned),
        }
        return json.dumps(fields)

    def is_sized(self, image_id: str) -> bool:
        """Return whether the size of an image's pixels is known; errors as `Studies.image`."""
        record = self._studies.record(image_id)
        return record.mm_per_pixel is not None or self._studies.image(record).clip.spacing is not None

    def masks(self, drawing: Drawing, *, is_blind: bool = False) -> tuple[NDArray[np.uint8], int]:
        """Return the masks ``(T, H, W)`` with a drawing in them, and how many pixels it changes.

        Frames that were not drawn are as `opened` gives them.

        Raises
        ------
        UnknownImageError, TooLargeError, OverloadedError
            As `opened`.
        ImageReadError, ImageContentError
            The image cannot be read, or has no such frame or structure.
        """
        record = self._studies.record(drawing.image_id)
        with self._studies.memory(record):
            before = self._predicted(record) if is_blind else self._before(record)
            after = _drawn(before, drawing)
            return after, int(np.count_nonzero(after != before.masks))

    def measured_json(self, drawings: Sequence[Drawing]) -> str:
        """Measure a patient with drawings in place of the images' masks; nothing is stored.

        Parameters
        ----------
        drawings : sequence of Drawing
            Of images of one patient, at least one.

        Returns
        -------
        str
            JSON as of `study_json`, with the frames that were drawn only, and ``areas``: by image, the
            cavity's area in each frame in mm², None where it cannot be measured.

        Raises
        ------
        InputError
            The images are not of one patient.
        UnknownImageError, TooLargeError, OverloadedError, ImageReadError, ImageContentError
            As `masks`.
        """
        records = {drawing.image_id: self._studies.record(drawing.image_id) for drawing in drawings}
        if len({record.patient for record in records.values()}) != 1:
            raise InputError("expected drawings of images of one patient")
        patient = next(iter(records.values())).patient
        with self._studies.memory(records[drawings[0].image_id]):
            drawn = {
                drawing.image_id: _drawn(self._before(records[drawing.image_id]), drawing)
                for drawing in drawings
            }
            measured = self._studies.measure_drawn(patient, drawn, source=DRAWN)
            study = self._reports.with_intervals(measured, self._studies.of_patient(patient)).study
        frames = {
            (drawing.image_id, frame) for drawing in drawings for frame in (*drawing.frames, *drawing.painted)
        }
        shown = study_json(study, sources=measured.sources, model=None, only=frames)
        areas = {
            image_id: [row.lv_area_mm2 for row in study.frames if row.image_id == image_id]
            for image_id in drawn
        }
        return json.dumps({**shown, "areas": areas})

    def _predicted(self, record: Record) -> MaskedImage:
        """Return the model's masks; empty ones where no model is for the view."""
        try:
            predicted = self._studies.predict(record.image_id)
        except (InputError, ModelError):
            return self._studies.without_masks(record)
        return masked_image(record, predicted.masks, self._studies.image(record).grid, record.labels)

    def _before(self, record: Record) -> MaskedImage:
        image, _ = self._studies.best_masks(record)
        return image if image.masks.size else self._studies.without_masks(record)


def _drawn(before: MaskedImage, drawing: Drawing) -> NDArray[np.uint8]:
    masks = before.masks.copy()
    for frame in (*drawing.painted, *drawing.frames):
        if not 0 <= frame < len(masks):
            raise ImageContentError(f"{before.image_id} has no frame {frame}; expected 0 to {len(masks) - 1}")
    for frame, mask in drawing.painted.items():
        masks[frame] = mask
    for frame, outlines in drawing.frames.items():
        masks[frame] = fill_outlines(masks[frame], outlines, before.labels)
    return masks
