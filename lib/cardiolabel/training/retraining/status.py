"""Status of a retraining: a file beside the run, and a lock that the run holds."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cardiolabel.models.model_folders import ModelFolders

FOLDER = "retraining"
"""Folder of each model's current or last run, in the folder of published models."""

STATUS, LOCK = "status.json", "lock"


@dataclass
class Status:
    """Status of a run; ``curve`` holds images, loss and mean Dice.

    ``state`` is ``reading``, ``training``, ``judging``, ``calibrating``, ``published``, ``refused`` or
    ``failed``.
    """

    model: str
    state: str = "reading"
    settings: dict[str, Any] = field(default_factory=dict)
    begun_at: str = ""
    changed_at: str = ""
    done: int = 0
    total: int = 0
    epoch: float = 0.0
    eta_s: float | None = None
    loss: float | None = None
    curve: list[list[float | None]] = field(default_factory=list)
    training_patients: int = 0
    validation_patients: int = 0
    skipped: list[list[str]] = field(default_factory=list)
    reason: str = ""
    verdict: dict[str, Any] | None = None
    version: int | None = None

    @property
    def total_epochs(self) -> int:
        """Requested epochs; 0 if unknown."""
        return int(self.settings.get("epochs", 0))

    @property
    def best_metric(self) -> float:
        """The best mean Dice so far; 0 before the first."""
        return max((dice for *_, dice in self.curve if dice is not None), default=0.0)

    @property
    def summary(self) -> str:
        """One line for people.

        >>> Status("camus", state="training", settings={"epochs": 10}, epoch=2.5).summary
        'camus: training, epoch 2.5 of 10'
        """
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.model}: {self.state}, epoch {self.epoch:g} of {self.total_epochs}{reason}"


def read_status(model: str, weights: ModelFolders | Path) -> Status | None:
    """Return the status of a model's last run; None without one.

    A killed run differs from a running one in that no process holds its lock.
    """
    folder = ModelFolders.of(weights).published / FOLDER / model
    try:
        status = Status(**json.loads((folder / STATUS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    if status.state in ("reading", "training", "judging", "calibrating") and not _is_held(folder / LOCK):
        status.state, status.reason, status.eta_s = "failed", "it was stopped; start it again to go on", None
    return status


def _is_held(path: Path) -> bool:
    lock = FileLock(path)
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True
