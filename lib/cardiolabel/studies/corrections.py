"""Corrected masks: checked, stored as versions, and the patient measured again."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Record
from cardiolabel.errors import CardiolabelError, EmptyMaskError, ImageContentError
from cardiolabel.io import nifti
from cardiolabel.records.layout import FINAL
from cardiolabel.reporting.result import best_ef
from cardiolabel.store.store import Store
from cardiolabel.store.versions import Origin, Version
from cardiolabel.store.writer import Save
from cardiolabel.studies.patient_reports import PatientReports, measured_json
from cardiolabel.studies.reading import Reading

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Correction:
    """A stored version and its patient's study, or ``{"reason": …}`` if it could not be measured."""

    version: Version
    measurement: dict[str, Any]


class Corrections:
    """Saves and rolls back labels of one studies folder.

    Parameters
    ----------
    reports : PatientReports
        Measures the folder's patients.
    store : Store
        Keeps its records.
    """

    def __init__(self, reports: PatientReports, store: Store) -> None:
        self._reports, self._studies, self._store = reports, reports.studies, store

    def save(
        self,
        image_id: str,
        masks: NDArray[np.uint8],
        *,
        tag: str = FINAL,
        save: Save,
        allow_empty: bool = False,
        measure: bool = True,
    ) -> Correction:
        """Store masks ``(T, H, W)`` as a new version of an image's label and measure the patient.

        Parameters
        ----------
        image_id : str
        masks : ndarray, shape (T, H, W)
            Label values in the order of the image's frames, rows and columns.
        tag : str
            ``final`` for what an annotator submits.
        save : Save
            Author and so on; the model served now and the EF before are added.
        allow_empty : bool
            Take masks without any labelled pixel.
        measure : bool
            Else the answer says nothing of the patient.

        Raises
        ------
        UnknownImageError, BadNameError
            Nothing is stored.
        ImageReadError, ImageContentError
            The masks are not of this image, or the image cannot be read; nothing is stored.
        ConflictError
            The label changed since its author opened it; the masks are kept as a version beside it.
        StoreError
            The disk is full, or the records cannot be written; nothing is stored.
        """
        record = self._studies.record(image_id)
        grid = self._studies.image(record).grid
        if masks.shape != grid.frames_shape:
            raise ImageContentError(
                f"a label of {_axes(masks.shape)} for {image_id}; expected {_axes(grid.frames_shape)}"
            )
        record.labels.check(masks, f"the label of {image_id}")
        if not allow_empty and not masks.any():
            raise EmptyMaskError(
                f"the label of {image_id} is empty; if that is meant, save it with allow_empty in its params"
            )

        def write(path: Path) -> None:
            nifti.write_mask_like(masks, path, grid=grid)

        before = self._described(record, tag, save)
        version = self._store.writer.save(image_id, tag, write, before)
        return self._measured(version, record.patient) if measure else Correction(version, {})

    def roll_back(self, image_id: str, number: int, *, tag: str = FINAL, save: Save) -> Correction:
        """Make an earlier version the current one again, as a new version, and measure the patient.

        Raises
        ------
        UnknownImageError, UnknownLabelError
            There is no such image, or no such version.
        ConflictError, StoreError
            As `save`.
        """
        record = self._studies.record(image_id)
        before = self._described(record, tag, save)
        return self._measured(self._store.writer.roll_back(image_id, tag, number, before), record.patient)

    def readings(self) -> list[Reading]:
        """Return the last mask of each image by each named annotator and each repeat reading of theirs."""
        return [
            Reading(version.image_id, _reader(version), file, version.saved_at, version.sequence)
            for version, file in self._store.readings()
        ]

    def _described(self, record: Record, tag: str, save: Save) -> Save:
        model = save.model or self._studies.model_json(record)
        if tag != FINAL:
            return replace(save, model=model)
        return replace(save, model=model, ef_before=self._ef(record.patient))

    def _ef(self, patient: str) -> list[dict[str, Any]] | None:
        """Return the present EF; None if it cannot be measured, which must not keep a mask from being
        stored.
        """
        try:
            return best_ef(self._reports.measure(patient).study)
        except CardiolabelError:
            return None
        except Exception as error:  # whatever it is, the label comes first
            logger.error("measuring before saving a label failed (%s)", type(error).__name__)
            logger.debug("measuring failed", exc_info=True)
            return None

    def _measured(self, version: Version, patient: str) -> Correction:
        if version.origin is Origin.REPEAT:
            return Correction(version, {"reason": "a repeat reading does not change the patient's numbers"})
        try:
            measured = self._reports.measure(patient)
            measurement = measured_json(measured, geometry=False)
            if version.tag == FINAL:
                self._store.note_measured(version, best_ef(measured.study), measurement)
            return Correction(version, measurement)
        except CardiolabelError as error:
            return Correction(version, {"reason": str(error)})
        except Exception as error:  # the label is stored already; the client must learn that
            logger.error("measuring after a saved label failed (%s)", type(error).__name__)
            logger.debug("measuring failed", exc_info=True)
            reason = f"the measurement failed ({type(error).__name__}); the server's log says more"
            return Correction(version, {"reason": reason})


def _reader(version: Version) -> str:
    reading = version.info.get("reading")
    return f"{version.author} ({reading})" if reading else version.author


def _axes(shape: tuple[int, ...]) -> str:
    if len(shape) != 3:
        return f"shape {shape}"
    frames, rows, cols = shape
    return f"{frames} frames of {rows} x {cols}"
