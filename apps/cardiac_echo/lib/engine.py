"""The studies folder and the model that reads it, shared by inference, strategies and routes."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np

from cardiolabel.domain import Clip, Spacing
from cardiolabel.errors import CardiolabelError, ModelError
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io.nifti import Grid
from cardiolabel.studies import Studies
from lib import masks

logger = logging.getLogger(__name__)


class Engine:
    """One studies folder, and the model once its weights are there.

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
    """

    def __init__(self, folder: Path, *, weights: Path, model: str) -> None:
        self._folder, self._weights, self._model = folder, weights, model
        self._predictor: Predictor | None = None
        self._lock = threading.Lock()
        self.studies = Studies(folder, predictor=None)
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
            if self._predictor is None:
                self._predictor = Predictor.load(self._model, self._weights)
                self.studies = Studies(self._folder, predictor=self._predictor)
            return self._predictor

    def warm_up(self) -> None:
        """Predict an empty frame and write it, so that the first request does not wait for libraries."""
        try:
            empty = Clip(np.zeros((1, 64, 64), dtype=np.uint8), Spacing(row_mm=1, col_mm=1))
            frames = self.predictor().predict(empty)
        except CardiolabelError as error:
            logger.warning("not warmed up: %s", error)
            return
        masks.write(frames, Grid((64, 64), np.eye(4)), masks.NRRD).unlink()

    def remeasured(self, image_id: str) -> dict[str, Any]:
        """The patient of an image measured from the masks as they are now, or ``{"reason": …}``.

        Without contours, which would fill MONAI Label's index.
        """
        try:
            return self.studies.patient_json(self.studies.record(image_id).patient, geometry=False)
        except CardiolabelError as error:
            return {"reason": str(error)}
        except Exception as error:  # the label is stored already; the client must learn that
            logger.exception("measuring after a saved label failed")
            return {"reason": f"the measurement failed ({type(error).__name__}); the server's log says where"}
