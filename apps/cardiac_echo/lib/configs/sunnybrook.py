"""Sunnybrook: short-axis MR stacks."""

from __future__ import annotations

from cardiolabel.models.models import SOURCES
from lib.configs.model_config import ModelConfig


class Sunnybrook(ModelConfig):
    """Left-ventricular cavity and myocardium."""

    source = SOURCES["sunnybrook"]
    dimension = 3
    description = "Left-ventricular cavity and myocardium in short-axis MR stacks"
