"""Prediction of many images by the pipeline of the command line; each mask is stored as a label."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.batch_infer import BatchInferTask
from numpy.typing import NDArray

from cardiolabel.errors import InputError
from cardiolabel.inference.batch import predict_all
from cardiolabel.inference.predictor import Prepared
from cardiolabel.models.models import check_view
from cardiolabel.records.layout import ORIGINAL
from lib.datastore.studies_datastore import StudiesDatastore
from lib.security.server_paths import without_paths
from lib.server.engine import Engine

logger = logging.getLogger(__name__)

_EVERY_S = 1.0
_PROGRESS = "predicted {} of {} images"


@dataclass(eq=False)
class _Image:
    """An image in the pipeline, and the reason if it has no mask."""

    image_id: str
    reason: str = ""


class Batch:
    """A run over images of a studies folder.

    Parameters
    ----------
    engine : Engine
    datastore : StudiesDatastore
        Takes the masks.
    request : mapping
        ``model``, and as MONAI Label has them ``images`` and ``max_batch_size``.
    """

    def __init__(self, engine: Engine, datastore: StudiesDatastore, request: Mapping[str, Any]) -> None:
        self._engine, self._datastore, self._request = engine, datastore, request
        self._predictor = engine.models.named(request["model"])
        self._sender = copy_context()

    def __call__(self) -> dict[str, dict[str, Any]]:
        """Predict, and return the labelled images and the reasons of the others."""
        chosen = sorted(BatchInferTask().get_images(self._request, self._datastore))
        chosen = chosen[: self._request.get("max_batch_size") or None]
        ready = predict_all(
            self._predictor, (_Image(image_id) for image_id in chosen), read=self._read, finish=self._finish
        )
        results, told_s = {}, -_EVERY_S
        for done, (image_id, result) in enumerate(ready, start=1):
            results[image_id] = result
            if done == len(chosen) or time.monotonic() - told_s > _EVERY_S:
                told_s = time.monotonic()
                logger.info(_PROGRESS.format(done, len(chosen)))
        return results

    def _read(self, image: _Image) -> Prepared | None:
        try:
            record = self._engine.studies.record(image.image_id)
            check_view(self._predictor.card.name, self._predictor.recipe.views, record)
            return self._predictor.prepare(self._engine.studies.image(record).clip)
        except InputError as error:
            image.reason = without_paths(str(error))
            return None

    def _finish(self, image: _Image, masks: NDArray[np.uint8] | None) -> tuple[str, dict[str, Any]]:
        if masks is None:
            return image.image_id, {"label": None, "params": {"reason": image.reason}}
        used = self._predictor.used.as_dict()
        # Threads of the prediction do not know whom they work for.
        save = partial(self._datastore.save_prediction, model=used)
        self._sender.copy().run(save, image.image_id, masks)
        return image.image_id, {"label": image.image_id, "tag": ORIGINAL, "params": {"model": used}}


def progress(lines: Iterable[str]) -> dict[str, int] | None:
    """Return images done and in all, from the process's last output; None before the first.

    >>> progress(["[INFO] predicted 3 of 40 images", "something else"])
    {'done': 3, 'total': 40}
    """
    for line in reversed(tuple(lines)):
        words: Sequence[str] = line.split()[-5:]
        if len(words) == 5 and _PROGRESS.format(words[1], words[3]) == " ".join(words):
            return {"done": int(words[1]), "total": int(words[3])}
    return None
