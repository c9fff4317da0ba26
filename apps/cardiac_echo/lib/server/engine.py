"""The studies folder, its records and the models, shared by inference, strategies and routes."""

from __future__ import annotations

import gc
import logging
from collections.abc import Collection, Hashable
from pathlib import Path
from typing import Any

import numpy as np

from cardiolabel.active_learning.worklist import Worklist
from cardiolabel.domain import Clip, Spacing
from cardiolabel.errors import CardiolabelError
from cardiolabel.evaluation.annotators.agreement import agreement_json
from cardiolabel.inference.engines.threads import leave_cores_to
from cardiolabel.models.models import Models
from cardiolabel.pacs.pacs_studies import PacsStudies
from cardiolabel.store.store import Store
from cardiolabel.studies.corrections import Corrections
from cardiolabel.studies.drawings import Drawings
from cardiolabel.studies.patient_memory import PatientMemory
from cardiolabel.studies.patient_reports import PatientReports
from cardiolabel.studies.reading import Reading
from cardiolabel.studies.score_reader import ScoreReader
from cardiolabel.studies.studies import Studies
from cardiolabel.system.file_cache import BoundedCache
from cardiolabel.system.memory_budget import budget
from lib.files.pictures import Pictures
from lib.files.viewer_images import ViewerImages

logger = logging.getLogger(__name__)


class Engine:
    """One studies folder with its records, and the models once their weights are present.

    Without weights the studies are still listed and measured from their labels. Each request for a model
    looks for its weights again, so that restoring them needs no restart.

    Parameters
    ----------
    folder : Path
        The studies folder.
    models : Models
        Those that are served, the preferred first.
    database_url : str or None
        Where the records are; None for a file within the studies folder.
    watch : bool
        Notice label files that something else writes or removes.
    read_only : bool
        Leave the studies folder as it is.
    """

    def __init__(
        self, folder: Path, *, models: Models, database_url: str | None, watch: bool, read_only: bool = False
    ) -> None:
        self.models = models
        self.studies = Studies(folder, models=models)
        self.viewer_images = ViewerImages(self.studies, read_only=read_only)
        self.store = Store(folder, records=self.studies.by_id, url=database_url, watch=watch)
        self._scores = scores = ScoreReader(self.store)
        self.patients = PatientReports(self.studies, scores)
        self.worklist = Worklist(self.patients, self.store, scores)
        self.corrections = Corrections(self.patients, self.store)
        self.drawings = Drawings(self.patients, self.store)
        self.pacs = PacsStudies(self.studies)
        self.pictures = Pictures(self.studies, self.pacs)
        self._agreement: BoundedCache[dict[str, Any]] = BoundedCache(1, size_of=lambda _: 1)

    def state(self) -> Hashable:
        """Return a token that changes with labels, images, leases and models."""
        models = tuple(
            self.models.named(name).used for name in self.models.names if self.models.is_loaded(name)
        )
        leases = tuple((lease.image_id, lease.annotator) for lease in self.store.leases())
        return self.store.revision(), id(self.studies.by_id()), leases, models

    def reload(self) -> None:
        """Reload the weights of the loaded models, and compare every file of the folder with its record.

        Raises
        ------
        MissingWeightsError, CorruptWeightsError
            A model cannot be read; all go on as they were.
        """
        self.models.reload()
        self.store.sync.refresh()

    def forget(self, patients: Collection[str]) -> None:
        """Clear the caches after patients were deleted."""
        self.studies.forget()
        self._scores.forget(patients)
        self._agreement.clear()

    def warm_up(self) -> None:
        """Predict an empty frame with the first model, so that no request waits for libraries.

        From then on this process is for predictions: training runs in its own.
        """
        try:
            empty = Clip(np.zeros((1, 64, 64), dtype=np.uint8), Spacing(row_mm=1, col_mm=1))
            predictor = self.models.named(self.models.names[0])
            predictor.predict(empty)
            leave_cores_to(predictor.engine)
            self.worklist.warm_up()
        except CardiolabelError as error:
            logger.warning("not warmed up: %s", error)
        # What is there now stays. To look through it for garbage would take some request 0.4 s now and then.
        gc.collect()
        gc.freeze()

    def agreement(self) -> dict[str, Any]:
        """Compare annotators, again after each save."""
        readings = self.corrections.readings()

        def compared() -> dict[str, Any]:
            # One patient after the other, of whom two masks of each image are compared.
            patients = {
                self.studies.record(reading.image_id).patient for reading in readings if self._has(reading)
            }
            needed = [PatientMemory.of(self.studies.of_patient(patient)).needed for patient in patients]
            with budget.reserved(
                "the annotators' masks", min(2 * max(needed, default=0), budget.limit_bytes)
            ):
                return agreement_json(readings, self.studies)

        return self._agreement.get(tuple(readings), compared)

    def _has(self, reading: Reading) -> bool:
        return reading.image_id in self.studies.by_id()
