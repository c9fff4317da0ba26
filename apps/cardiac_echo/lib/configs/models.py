"""The models that the server offers, in one table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cardiolabel.models.models import SOURCES, ModelSource
from lib.infers.segmentation import Segmentation
from lib.server.engine import Engine
from lib.trainers.retraining import Retraining


@dataclass(frozen=True)
class ModelConfig:
    """How the server offers one model.

    Parameters
    ----------
    source : ModelSource
        Weights, recipe and structures.
    dimension : int
        What MONAI Label tells viewers: 2 for echo, segmented frame by frame, 3 for stacks of slices.
    description : str
        One line for the list of models.
    optional : bool
        Whether the model is left out, unless it is named, while its weights are missing.
    """

    source: ModelSource
    dimension: int
    description: str
    optional: bool = False

    def infer(self, engine: Engine) -> Segmentation:
        """Make the inference task."""
        return Segmentation(engine, self.source, dimension=self.dimension, description=self.description)

    def trainer(self, engine: Engine, base: Path | None) -> Retraining:
        """Make the training task; ``base`` is a studies folder that the model was trained on."""
        return Retraining(self.source, engine.studies.folder, engine.models.folders, base)


CONFIGS = {
    config.source.name: config
    for config in (
        ModelConfig(
            SOURCES["camus"],
            dimension=2,
            description="Left ventricle, myocardium and left atrium in apical two- and four-chamber echo",
        ),
        ModelConfig(
            SOURCES["echonet"],
            dimension=2,
            description="Left-ventricular cavity alone in apical echo, calibrated or not",
        ),
        ModelConfig(
            SOURCES["sunnybrook"],
            dimension=3,
            description="Left-ventricular cavity and myocardium in short-axis MR stacks",
        ),
        ModelConfig(
            SOURCES["acdc"],
            dimension=3,
            description="Left-ventricular cavity and myocardium in short-axis MR stacks, as ACDC labels them",
        ),
        ModelConfig(
            SOURCES["landmarks"],
            dimension=2,
            description="Left-ventricular cavity in apical echo, drawn through its landmarks",
            optional=True,
        ),
    )
}
"""Models by name, in the order that viewers list; an image gets the first model for its view."""
