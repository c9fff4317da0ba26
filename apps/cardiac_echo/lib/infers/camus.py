"""Inference on one apical image: a mask file and what is measured on it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from cardiolabel.predicted import file_result_json, predict_file
from lib import masks
from lib.engine import Engine
from lib.errors import refused


class CamusInfer(InferTask):
    """Predicts with `cardiolabel`, which owns reading, the network and the measurements.

    Parameters
    ----------
    engine : Engine
        The studies and the model.
    labels : dict
        Structure names to mask values.
    """

    def __init__(self, engine: Engine, *, labels: dict[str, int]) -> None:
        super().__init__(
            type=InferType.SEGMENTATION,
            labels=labels,
            dimension=2,
            description="Left ventricle, myocardium and left atrium in apical two- and four-chamber echo",
        )
        self._engine = engine

    def is_valid(self) -> bool:
        """Always listed: without weights a request is answered with how to get them."""
        return True

    def __call__(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Predict ``request["image"]``, an image id or the `Path` of an upload.

        Returns
        -------
        file : str
            Mask file in ``result_extension``, by default the image's own; the caller removes it.
        params : dict
            The result JSON.
        """
        begun = time.monotonic()
        image = request["image"]
        predictor = self._engine.predictor()
        path = image if isinstance(image, Path) else self._engine.studies.record(image).path
        extension = _extension(request.get("result_extension"), path)
        if isinstance(image, Path):
            predicted = predict_file(image, predictor)
            params = file_result_json(predicted, predictor)
        else:
            predicted = self._engine.studies.predict(image)
            params = self._engine.studies.result_json(predicted)
        inferred = time.monotonic()
        file = masks.write(predicted.masks, predicted.grid, extension, like=path)
        written = time.monotonic()
        params["label_names"] = self.labels
        params["latencies"] = {
            "infer": round(inferred - begun, 3),
            "write": round(written - inferred, 3),
            "total": round(written - begun, 3),
        }
        return str(file), params


def _extension(wanted: object, path: Path) -> str:
    if not wanted:
        return masks.suffix(path.name) or masks.SUFFIXES[0]
    if wanted not in masks.SUFFIXES:
        message = f"result_extension {wanted!r}: expected one of {', '.join(masks.SUFFIXES)}"
        raise refused(422, "unsupported_extension", message)
    return str(wanted)
