"""Code that runs in a worker's process."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cardiolabel.errors import CardiolabelError, ClusterError
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.system.lean_start import leave_out

if TYPE_CHECKING:
    from cardiolabel.inference.predictor import Predictor
    from cardiolabel.pipeline.cluster.groups import Group
    from cardiolabel.pipeline.workers import Done, Options


@dataclass(frozen=True, eq=False)
class Answer:
    """A group's patients, and the warnings raised."""

    done: list[Done]
    warnings: list[str]


class Worker:
    """One core of one machine, in a process of its own."""

    def __init__(self, model: str, weights: ModelFolders, environment: dict[str, str]) -> None:
        self._model, self._weights, self._environment = model, weights, environment
        self._predictor: Predictor | None = None
        self._heard = _Heard()

    def ready(self) -> None:
        """Load packages and model; errors as `load`."""
        os.environ.update(self._environment, CUDA_VISIBLE_DEVICES="")  # Ray leaves them to all workers
        leave_out()
        from cardiolabel.inference.engines.threads import limit_threads
        from cardiolabel.models.models import load

        logging.getLogger("cardiolabel").addHandler(self._heard)
        limit_threads(1)
        try:
            self._predictor = load(self._model, self._weights)
        except CardiolabelError as error:
            raise ClusterError(f"worker on {socket.gethostname()}: {error}") from error

    def measure(self, group: Group, options: Options, program: str) -> Answer:
        """Infer patients as `infer_patients`, after checking that this machine is fit for it."""
        from cardiolabel.pipeline.cluster.fitness import check_fit
        from cardiolabel.pipeline.infer_patients import infer_patients

        if self._predictor is None:
            raise ClusterError("a worker was given patients before it was ready")
        check_fit(self._predictor, group, options, program)
        with closing(infer_patients(group, self._predictor, options)) as done:
            return Answer(list(done), self._heard.taken())


class _Heard(logging.Handler):
    """Collects warnings, for the command to print."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append(record.getMessage())

    def taken(self) -> list[str]:
        messages, self._messages = self._messages, []
        return messages
