"""Retraining of one model on the final labels, with the code of the command line."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from cardiolabel.errors import DatasetError
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.models.models import ModelSource
from cardiolabel.training.retraining.retrain import retrain
from cardiolabel.training.retraining.settings import Settings, devices
from cardiolabel.training.retraining.status import Status, read_status
from lib.security.audit import record_promotion
from lib.security.server_paths import json_without_paths, without_paths

logger = logging.getLogger(__name__)

_DEFAULTS = Settings()


class Retraining(TrainTask):
    """Training task; the result is served only if it is no worse.

    Parameters
    ----------
    source : ModelSource
        Where it uses another model's weights, it is those that are retrained.
    studies : Path
        The studies folder.
    weights : ModelFolders or Path
        Folders of the models.
    base : Path or None
        Studies that the model was trained on before.
    """

    def __init__(
        self, source: ModelSource, studies: Path, weights: ModelFolders | Path, base: Path | None
    ) -> None:
        of = f" (the weights of {source.shares})" if source.shares else ""
        super().__init__(
            description=f"Retrain {source.name}{of} on final labels; published only if it is no worse"
        )
        self._source, self._studies, self._weights, self._base = source, studies, weights, base

    @property
    def model(self) -> str:
        """The model whose weights are retrained."""
        return self._source.weights(self._weights)

    def config(self) -> dict[str, Any]:
        """Return the options of a client with defaults; a list offers its members."""
        return {
            "epochs": _DEFAULTS.epochs,
            "learning_rate": _DEFAULTS.learning_rate,
            "device": list(devices()),
            "from_scratch": _DEFAULTS.from_scratch,
        }

    def stats(self) -> dict[str, Any]:
        """Return the status of the last run in 3D Slicer's form; empty without one."""
        status = self.status()
        if status is None:
            return {}
        return {**asdict(status), "total_epochs": status.total_epochs, "best_metric": status.best_metric}

    def status(self) -> Status | None:
        """Return the status of the last run; None without one."""
        status = read_status(self.model, self._weights)
        if status is None:
            return None
        # What an error said in the process that trained may name a file of the server.
        skipped = json_without_paths(status.skipped)
        return replace(status, reason=without_paths(status.reason), skipped=skipped)

    def settings(self, request: Mapping[str, Any]) -> Settings:
        """Return the settings of a request.

        Raises
        ------
        DatasetError
            A value is of another type, or out of its range.
        """
        try:
            return Settings(
                epochs=int(request.get("epochs", _DEFAULTS.epochs)),
                learning_rate=float(request.get("learning_rate", _DEFAULTS.learning_rate)),
                from_scratch=_switch(request.get("from_scratch", _DEFAULTS.from_scratch)),
                device=_device(request.get("device", "")),
            )
        except (TypeError, ValueError, OverflowError):
            raise DatasetError(
                "expected epochs and learning_rate as numbers, from_scratch as true or false"
            ) from None

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Retrain, and return the final status."""
        result = retrain(
            self.model,
            self._studies,
            self._weights,
            settings=self.settings(request),
            base=self._base,
            on_progress=_log,
        )
        if result.state == "published":
            record_promotion(self._studies, self.model)
        return dict(json_without_paths(asdict(result)))


def _switch(value: object) -> bool:
    switches = {"true": True, "false": False}
    if str(value).lower() not in switches:
        raise ValueError
    return switches[str(value).lower()]


def _device(value: object) -> str:
    """Return one device; clients that were offered a list may send all of it."""
    first = next(iter(value), "") if isinstance(value, list) else value
    return str(first or "")


def _log(status: Status) -> None:
    """Log the state without the reason, which may name an image."""
    loss = f", loss {status.loss}" if status.loss is not None else ""
    left = f", {status.eta_s:.0f} s left" if status.eta_s is not None else ""
    done = f"{status.done} of {status.total}"
    logger.info("%s %s, epoch %s, %s%s%s", status.model, status.state, status.epoch, done, loss, left)
