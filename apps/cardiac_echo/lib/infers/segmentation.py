"""Inference on one image: a mask file and its measurements."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from cardiolabel.inference.image_cost import image_cost
from cardiolabel.io import nrrd
from cardiolabel.models.models import ModelSource
from cardiolabel.studies.predicted import Predicted, file_result_json, predict_file
from cardiolabel.system.memory_budget import budget
from lib.files import masks
from lib.infers.model_choice import STRICT
from lib.server.engine import Engine
from lib.server.errors import refused


class Segmentation(InferTask):
    """Inference task that delegates reading, prediction and measuring to `cardiolabel`.

    Parameters
    ----------
    engine : Engine
        The studies and the models.
    source : ModelSource
        The model of this task.
    dimension : int
        2 or 3.
    description : str
        One line for people.
    """

    def __init__(self, engine: Engine, source: ModelSource, *, dimension: int, description: str) -> None:
        super().__init__(
            type=InferType.SEGMENTATION,
            labels=source.labels.as_dict(),
            dimension=dimension,
            description=description,
            config={STRICT: False},
        )
        self._engine = engine
        self.source = source

    def info(self) -> dict[str, Any]:
        """Return MONAI Label's description, with the model's views and, once loaded, its engine."""
        return {
            **super().info(),
            "views": [str(view) for view in self.source.views],
            "engine": self._engine.models.engine_name(self.source.name),
        }

    def is_valid(self) -> bool:
        """Return True: without weights a request is answered with how to get them."""
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
        start_s = time.monotonic()
        image = request["image"]
        path = image if isinstance(image, Path) else self._engine.studies.record(image).path
        extension = _extension(request.get("result_extension"), path)
        with self._memory(image):
            if isinstance(image, Path):
                predicted = predict_file(image, self._engine.models.named(self.source.name))
                params = file_result_json(predicted)
            else:
                predicted, params = self._engine.patients.result(image, model=self.source.name)
            inferred = time.monotonic()
            file = self._write(predicted, extension, path, stored=not isinstance(image, Path))
            written = time.monotonic()
        # 3D Slicer takes the first name for the value 1, the second for 2, whatever a model draws of them.
        params["label_names"] = predicted.record.labels.as_dict()
        params["latencies"] = {
            "infer": round(inferred - start_s, 3),
            "write": round(written - inferred, 3),
            "total": round(written - start_s, 3),
        }
        return str(file), params

    def _memory(self, image: str | Path) -> AbstractContextManager[object]:
        """Reserve the memory from the image to its answer."""
        if isinstance(image, Path):
            return budget.reserved(image.name, image_cost(image).passing)
        return self._engine.studies.memory(self._engine.studies.record(image))

    def _write(self, predicted: Predicted, extension: str, path: Path, *, stored: bool) -> Path:
        """Write NRRD in the viewers' geometry of a stored image, other formats in the file's own."""
        viewers, record = self._engine.viewer_images, predicted.record
        if extension == nrrd.SUFFIX and stored and not viewers.opens_itself(record):
            return masks.write(predicted.masks, viewers.grid(record), extension)
        return masks.write(predicted.masks, predicted.grid, extension, like=path)


def _extension(requested: object, path: Path) -> str:
    if not requested:
        return masks.suffix(path.name) or masks.SUFFIXES[0]
    if requested not in masks.SUFFIXES:
        message = f"result_extension {requested!r}: expected one of {', '.join(masks.SUFFIXES)}"
        raise refused(422, "unsupported_extension", message)
    return str(requested)
