"""ACDC: short-axis MR stacks."""

from __future__ import annotations

from cardiolabel.models.models import SOURCES
from lib.configs.model_config import ModelConfig


class Acdc(ModelConfig):
    """Left-ventricular cavity and myocardium with ACDC's values, by the weights of ``sunnybrook``."""

    source = SOURCES["acdc"]
    dimension = 3
    description = "Left-ventricular cavity and myocardium in short-axis MR stacks, as ACDC labels them"
