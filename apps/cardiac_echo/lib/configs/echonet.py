"""EchoNet-Dynamic: apical four-chamber clips, most of them without calibration."""

from __future__ import annotations

from cardiolabel.models.models import SOURCES
from lib.configs.model_config import ModelConfig


class Echonet(ModelConfig):
    """Left-ventricular cavity alone, by the weights of ``camus``."""

    source = SOURCES["echonet"]
    dimension = 2
    description = "Left-ventricular cavity alone in apical echo, calibrated or not"
