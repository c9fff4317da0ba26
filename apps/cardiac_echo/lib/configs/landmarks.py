"""Landmarks: the left ventricle in apical echo from seven points."""

from __future__ import annotations

from cardiolabel.models.models import SOURCES
from lib.configs.model_config import ModelConfig


class Landmarks(ModelConfig):
    """Left-ventricular cavity."""

    source = SOURCES["landmarks"]
    dimension = 2
    description = "Left-ventricular cavity in apical echo, drawn through its landmarks"
    optional = True
