"""CAMUS: apical two- and four-chamber views."""

from __future__ import annotations

from cardiolabel.models.models import SOURCES
from lib.configs.model_config import ModelConfig


class Camus(ModelConfig):
    """Left ventricle, myocardium and left atrium."""

    source = SOURCES["camus"]
    dimension = 2
    description = "Left ventricle, myocardium and left atrium in apical two- and four-chamber echo"
