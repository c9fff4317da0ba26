"""What a model is served with; ``lib/configs`` has one module per model."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from monailabel.interfaces.config import TaskConfig

from cardiolabel.models.models import ModelSource
from lib.infers.segmentation import Segmentation
from lib.server.engine import Engine
from lib.trainers.retraining import Retraining


class ModelConfig(TaskConfig):
    """What a model is made of, and how viewers list it.

    ``dimension`` is 2 for echo, where each frame is segmented by itself, and 3 for stacks of slices.
    ``optional`` models are left out where nobody names them and their weights are not there.
    """

    source: ClassVar[ModelSource]
    dimension: ClassVar[int]
    description: ClassVar[str]
    optional: ClassVar[bool] = False

    def infer(self, engine: Engine) -> Segmentation:
        """The inference task."""
        return Segmentation(engine, self.source, dimension=self.dimension, description=self.description)

    def trainer(self, engine: Engine, base: Path | None) -> Retraining:
        """The training task. ``base``: what the model learned from."""
        return Retraining(self.source, engine.studies.folder, engine.models.folder, base)
