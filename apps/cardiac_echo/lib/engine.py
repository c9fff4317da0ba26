"""The studies folder, its records and the model, shared by inference, strategies and routes."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np

from cardiolabel.annotators import agreement_json
from cardiolabel.cache import BoundedCache
from cardiolabel.corrections import Corrections
from cardiolabel.domain import Clip, Spacing
from cardiolabel.errors import CardiolabelError, ModelError
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io.nifti import Grid
from cardiolabel.store.store import Store
from cardiolabel.studies import Studies
from lib import masks

logger = logging.getLogger(__name__)


class Engine:
    """One studies folder with its records, and the model once its weights are there.

    Without weights the studies are still listed and measured from their labels; each request for the model
    looks for the weights again, so that putting them back needs no new start.

    Parameters
    ----------
    folder : Path
        The studies folder.
    weights : Path
        Folder of weights files.
    model : str
        Name of the model.
    database_url : str or None
        Where the records are; None for a file within the studies folder.
    watch : bool
        Notice label files that something else writes or removes.
    """

    def __init__(
        self, folder: Path, *, weights: Path, model: str, database_url: str | None, watch: bool
    ) -> None:
        self._weights, self._model = weights, model
        self._lock = threading.Lock()
        self.studies = Studies(folder, predictor=None)
        self.store = Store(folder, records=self.studies.by_id, url=database_url, watch=watch)
        self.corrections = Corrections(self.studies, self.store)
        self._agreement: BoundedCache[dict[str, Any]] = BoundedCache(1, size_of=lambda _: 1)
        try:
            self.predictor()
        except ModelError as error:
            logger.warning("%s", error)

    def predictor(self) -> Predictor:
        """The model.

        Raises
        ------
        MissingWeightsError, CorruptWeightsError
            It cannot be used; nothing is predicted instead.
        """
        with self._lock:
            if self.studies.predictor is None:
                self.studies.predictor = Predictor.load(self._model, self._weights)
            return self.studies.predictor

    def reload(self) -> None:
        """Load the model's weights anew, and compare every file of the folder with its record."""
        with self._lock:
            self.studies.predictor = Predictor.load(self._model, self._weights)
        self.store.sync.refresh()

    def warm_up(self) -> None:
        """Predict an empty frame and write it, so that the first request does not wait for libraries."""
        try:
            empty = Clip(np.zeros((1, 64, 64), dtype=np.uint8), Spacing(row_mm=1, col_mm=1))
            frames = self.predictor().predict(empty)
        except CardiolabelError as error:
            logger.warning("not warmed up: %s", error)
            return
        masks.write(frames, Grid((64, 64), np.eye(4)), masks.NRRD).unlink()

    def agreement(self) -> dict[str, Any]:
        """How well annotators agree, compared anew where somebody has saved since."""
        readings = self.corrections.readings()
        return self._agreement.get(tuple(readings), lambda: agreement_json(readings, self.studies))
