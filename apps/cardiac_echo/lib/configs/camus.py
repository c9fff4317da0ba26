"""CAMUS: apical two- and four-chamber views."""

from __future__ import annotations

from typing import Any

from monailabel.interfaces.config import TaskConfig

from cardiolabel.domain import CAMUS_LABELS
from lib.engine import Engine
from lib.infers.camus import CamusInfer


class Camus(TaskConfig):
    """Left ventricle, myocardium and left atrium."""

    def init(self, name: str, model_dir: str, conf: dict[str, str], planner: Any, **kwargs: Any) -> None:
        """Take the name that the model is served under."""
        super().init(name, model_dir, conf, planner, **kwargs)
        self.labels = CAMUS_LABELS.as_dict()

    def infer(self, engine: Engine) -> CamusInfer:
        """The inference task."""
        return CamusInfer(engine, labels=self.labels)

    def trainer(self) -> None:
        """None yet."""
        return None
