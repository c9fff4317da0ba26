"""Progress of each model's training, from its task and its process's status."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from monailabel.utils.async_tasks.utils import tasks

from lib.trainers.retraining import Retraining

TRAIN = "train"
"""MONAI Label's name of training tasks."""

_ACTIVE = ("SUBMITTED", "RUNNING")


def train_stats(trainers: Mapping[str, Retraining]) -> dict[str, dict[str, Any]]:
    """Return the progress of each model's last training, the current or latest one first.

    3D Slicer shows the first one, whichever model was requested.
    """
    stats = {name: model_stats(trainer, trainers) for name, trainer in trainers.items()}
    return dict(sorted(stats.items(), key=lambda item: _recent(item[1]), reverse=True))


def model_stats(trainer: Retraining, trainers: Mapping[str, Retraining]) -> dict[str, Any]:
    """Return the progress of a model's last training; empty without one.

    Until a new process has written its status it is ``starting``, not the end of an earlier one.
    """
    stats, task = trainer.stats(), last_task(trainer, trainers)
    if task is None or _has_begun(stats, task):
        return stats
    if task["status"] not in _ACTIVE:
        return {}
    epochs = trainer.settings(task["request"]).epochs
    return {
        "model": trainer.model,
        "state": "starting",
        "epoch": 0.0,
        "total_epochs": epochs,
        "best_metric": 0.0,
        "changed_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def last_task(trainer: Retraining, trainers: Mapping[str, Retraining]) -> dict[str, Any] | None:
    """Return the last task that trained a model's weights, which other models may share."""
    names = {name for name, sharing in trainers.items() if sharing.model == trainer.model}
    return next((task for task in reversed(tasks(TRAIN)) if task["request"]["model"] in names), None)


def _has_begun(stats: Mapping[str, Any], task: Mapping[str, Any]) -> bool:
    """Return whether a status was written by this task."""
    if not stats:
        return False
    started = datetime.strptime(task["start_ts"], "%Y-%m-%d %H:%M:%S").astimezone(UTC)
    return datetime.fromisoformat(stats["begun_at"]) >= started


def _recent(stats: Mapping[str, Any]) -> tuple[bool, str]:
    is_active = stats.get("state") in ("starting", "reading", "training", "judging", "calibrating")
    return is_active, stats.get("changed_at", "")
