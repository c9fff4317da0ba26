"""The workers of a run: started, given patients, and replaced."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

from cardiolabel.domain import Record
from cardiolabel.errors import CardiolabelError, ClusterError
from cardiolabel.inference.ordered import ordered
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io.files import remove_partial
from cardiolabel.pipeline.cluster.connection import error_text
from cardiolabel.pipeline.cluster.fitness import own_program
from cardiolabel.pipeline.cluster.groups import Group, groups
from cardiolabel.pipeline.cluster.worker import Answer
from cardiolabel.pipeline.workers import Done, Options
from cardiolabel.records.layout import LABELS
from cardiolabel.reporting.overlay import OVERLAYS

logger = logging.getLogger(__name__)

_AHEAD = 2
"""Most groups per worker that may be finished before their turn."""

_TRIES = 3
_START_S = 180.0


class Crew:
    """A fixed number of workers, each replaced when it dies."""

    def __init__(self, ray: Any, hire: Callable[[], Any], count: int) -> None:
        self._ray, self._hire, self._count = ray, hire, count
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._coming: dict[Any, Any] = {}
        self._lock = threading.Lock()
        self._stillborn = self._deaths = 0
        self._ended = False
        self._waiting_since = time.monotonic()
        self._workers: set[Any] = set()
        for _ in range(count):
            self._add()

    def infer(
        self,
        patients: Iterable[Sequence[Record]],
        predictor: Predictor,
        options: Options,
        *,
        on_image: Callable[[int], None],
    ) -> Generator[Done]:
        """Infer patients as `infer_patients`; the work of a killed worker is done again.

        Masks that it made before count as resumed where ``options`` say to resume.
        """
        options, program = replace(options, out=options.out.absolute()), own_program()
        images = 0
        clean = False
        try:
            with ThreadPoolExecutor(self._count, thread_name_prefix="worker") as pool, closing(self):
                answers = ordered(
                    pool,
                    lambda group: self._measured(group, options, program),
                    groups(patients),
                    ahead=_AHEAD * self._count,
                )
                for answer in answers:
                    for message in answer.warnings:
                        logger.warning("%s", message)
                    for done in answer.done:
                        images += done.images
                        on_image(images)
                        yield done
                clean = not self._deaths
        finally:
            if not clean:
                for folder in (LABELS, OVERLAYS):
                    remove_partial(options.out / folder)

    def close(self) -> None:
        """Kill all workers; callers that wait for one get an error."""
        with self._lock:
            self._ended = True
            for worker in self._workers:
                self._ray.kill(worker)
            self._workers.clear()

    def _measured(self, group: Group, options: Options, program: str) -> Answer:
        for left in reversed(range(_TRIES)):
            worker = self._taken()
            try:
                answer: Answer = self._ray.get(worker.measure.remote(group, options, program))
            except self._ray.exceptions.RayTaskError as error:
                self._free.put(worker)
                raise error.cause from None  # what it raised itself
            except self._ray.exceptions.RayError as error:
                self._replace(worker)
                if self._ended:
                    raise ClusterError("the run was ended") from error
                if not left:
                    names = ", ".join(records[0].patient for records in group)
                    raise ClusterError(
                        f"{_TRIES} workers died over the same patients, the last thus: {error_text(error)}"
                        f" Their images may need more memory than there is; patients: {names}"
                    ) from error
            else:
                self._free.put(worker)
                return answer
        raise AssertionError("unreachable")

    def _taken(self) -> Any:
        """Return a ready worker; waits for one that is starting if none is."""
        while True:
            with suppress(queue.Empty):
                return self._free.get_nowait()
            with self._lock:
                if self._ended:
                    raise ClusterError("the run was ended")
                if self._coming:
                    self._welcome()
                alone = len(self._coming) == self._count
            if alone and time.monotonic() - self._waiting_since > _START_S:
                raise ClusterError(
                    f"no worker could begin within {_START_S:g} s; are the cluster's cores taken by others?"
                )

    def _welcome(self) -> None:
        """Let workers that have become ready begin."""
        arrived, _ = self._ray.wait(list(self._coming), num_returns=1, timeout=0.2)
        for newcomer in arrived:
            worker = self._coming.pop(newcomer)
            try:
                self._ray.get(newcomer)
            except self._ray.exceptions.RayTaskError as error:
                cause = error.cause
                raise cause if isinstance(cause, CardiolabelError) else _no_start(error) from None
            except self._ray.exceptions.RayError as error:
                self._stillborn += 1
                if self._stillborn >= _TRIES:
                    raise _no_start(error) from error
                self._workers.discard(worker)
                self._add()
            else:
                self._stillborn = 0
                self._free.put(worker)

    def _replace(self, worker: Any) -> None:
        with self._lock:
            self._deaths += 1
            if not self._ended:
                self._ray.kill(worker)  # it may only be out of reach
                self._workers.discard(worker)
                self._waiting_since = time.monotonic()
                self._add()

    def _add(self) -> None:
        worker = self._hire()
        self._workers.add(worker)
        self._coming[worker.ready.remote()] = worker


def _no_start(error: BaseException) -> ClusterError:
    return ClusterError(
        f"a worker could not begin; is cardiolabel installed on all machines? {error_text(error)}"
    )
