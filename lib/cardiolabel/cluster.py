"""The pipeline on many processes and machines, by Ray: the same masks and tables, whoever makes them.

A worker is a process of one core that holds the model. It is given a few whole patients at a time, runs
`infer_patients` on them, and answers with their studies; masks it writes itself. Images, weights and
output lie on a file system that all machines share, under the same paths.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cardiolabel.domain import Phase, Record, View
from cardiolabel.errors import CardiolabelError, ClusterError
from cardiolabel.inference.engines.choose import ENGINE_VARIABLE
from cardiolabel.inference.engines.openvino_engine import CACHE_VARIABLE
from cardiolabel.inference.engines.threads import limit_threads
from cardiolabel.inference.models import load
from cardiolabel.inference.ordered import ordered
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io.files import remove_partial
from cardiolabel.pipeline.infer_patients import infer_patients
from cardiolabel.pipeline.workers import Done, Options, Workers
from cardiolabel.predicted import MODEL_NAME, model_note
from cardiolabel.reporting.overlay import OVERLAYS

logger = logging.getLogger(__name__)

LOCAL = "local"
"""Where Ray is to be started on this machine."""

_GROUP_STILLS = 32
_CINE_STILLS = 16
"""What a cine or a stack weighs in a group, before anybody has read it."""

_AHEAD = 2
"""Groups per worker that may be done before their turn."""

_TRIES = 3
_REACH_S, _START_S = 10.0, 180.0
_STORE_BYTES = 256 * 2**20
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no report to Ray's maker
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # nothing of Ray's on the command's output; read as it is imported
}
_PASSED_ON = (ENGINE_VARIABLE, CACHE_VARIABLE)
_COMPUTING = ("numpy", "scipy", "scikit-image", "torch", "openvino")
_Group = list[list[Record]]


@contextmanager
def cluster(where: str, *, model: str, weights: Path, workers: int | None) -> Iterator[Workers]:
    """Workers for `infer_folder`, which end with the block, as does a Ray that was started for it.

    Parameters
    ----------
    where : str
        ``local``, or the address of a running cluster: ``auto``, ``ray://HOST:PORT`` or ``HOST:PORT``.
    model : str
        As `load`; must be the predictor that `infer_folder` is given.
    weights : Path
        Folder of weights, which all machines see.
    workers : int, optional
        How many, of one core each; by default as many as there are.

    Raises
    ------
    ClusterError
        Ray is not installed, or there is none at that address. Inside the block: a worker does not see
        the shared folders, would not compute the same numbers, or is killed by the same patients
        again and again.
    """
    ray = _ray()
    _connect(ray, where, workers)
    try:
        count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        hired = ray.remote(num_cpus=1, max_restarts=0)(_Worker)
        crew = _Crew(ray, lambda: hired.remote(model, weights.absolute(), environment), count)
        with closing(crew):
            yield crew.infer
    finally:
        ray.shutdown()


def _ray() -> Any:
    if importlib.util.find_spec("ray") is None:
        raise ClusterError("Ray is not installed; pip install 'cardiolabel[cluster]'")
    os.environ.update(_QUIET)
    import ray

    return ray


def _connect(ray: Any, where: str, workers: int | None) -> None:
    """Start Ray here, or join the one that runs."""
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        if where == LOCAL:
            ray.init("local", num_cpus=workers, object_store_memory=_STORE_BYTES, **quiet)
            return
        if where != "auto":
            _reach(where)
        ray.init(where, log_to_driver=False, logging_level=logging.CRITICAL)
    except (ray.exceptions.RayError, OSError, RuntimeError, ValueError) as error:
        raise ClusterError(f"no Ray cluster at {where!r}: {_line(error)}") from error


def _reach(where: str) -> None:
    """Raise OSError or ValueError unless somebody listens at an address; Ray itself asks for minutes."""
    host, _, port = where.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError("expected local, auto, ray://HOST:PORT or HOST:PORT")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_S).close()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


@dataclass(frozen=True, eq=False)
class _Answer:
    """A group's patients, and the warnings that came up."""

    done: list[Done]
    warnings: list[str]


class _Worker:
    """One core of one machine; Ray runs it in a process of its own."""

    def __init__(self, model: str, weights: Path, environment: dict[str, str]) -> None:
        self._model, self._weights, self._environment = model, weights, environment
        self._predictor: Predictor | None = None
        self._heard = _Heard()

    def ready(self) -> None:
        """Load what takes its time; errors as `load`."""
        os.environ.update(self._environment, CUDA_VISIBLE_DEVICES="")  # Ray leaves them to all workers
        logging.getLogger("cardiolabel").addHandler(self._heard)
        limit_threads(1)
        try:
            self._predictor = load(self._model, self._weights)
        except CardiolabelError as error:
            raise ClusterError(f"worker on {socket.gethostname()}: {error}") from error

    def measure(self, group: _Group, options: Options, program: str) -> _Answer:
        """As `infer_patients`, after a look at whether this machine is fit for it."""
        if self._predictor is None:
            raise ClusterError("a worker was given patients before it was ready")
        _check_fit(self._predictor, group, options, program)
        with closing(infer_patients(group, self._predictor, options)) as done:
            return _Answer(list(done), self._heard.taken())


class _Heard(logging.Handler):
    """Keeps warnings for the one who is asked to do the work, where somebody reads them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append(record.getMessage())

    def taken(self) -> list[str]:
        messages, self._messages = self._messages, []
        return messages


def _check_fit(predictor: Predictor, group: _Group, options: Options, program: str) -> None:
    """Raise `ClusterError` unless this machine sees the folders and would compute the same numbers."""
    host, note = socket.gethostname(), options.out / MODEL_NAME
    if not group[0][0].path.parent.is_dir():
        raise ClusterError(f"worker on {host}: {group[0][0].path.parent}: no such folder; {_SHARE}")
    try:
        wanted = json.loads(note.read_text(encoding="utf-8"))
    except OSError as error:
        raise ClusterError(f"worker on {host}: {note}: {error.strerror}; {_SHARE}") from error
    own = json.loads(model_note(predictor))
    if differing := [
        f"{name} {own[name]}, not {wanted.get(name)}" for name in own if own[name] != wanted.get(name)
    ]:
        raise ClusterError(
            f"worker on {host} has another model or engine than {note} says: {'; '.join(differing)};"
            " give all machines the same weights, packages and kind of CPU"
        )
    if program != _program():
        raise ClusterError(
            f"worker on {host} has other packages than this machine: {_program()}, not {program};"
            " install the same on all machines"
        )


_SHARE = "studies, weights and --out must lie on a file system that all machines share"


def _program() -> str:
    """Versions of what computes numbers; of this package, its code itself."""
    code = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        code.update(path.read_bytes())
    found = [f"cardiolabel {code.hexdigest()[:12]}"]
    for name in _COMPUTING:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return ", ".join(found)


class _Crew:
    """As many workers as are wanted, each replaced when it dies."""

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
        """As `infer_patients`; the work of a killed worker is done again.

        Masks that it made before count as kept where ``options`` say to keep masks.
        """
        options, program = replace(options, out=options.out.absolute()), _program()
        images = 0
        clean = False
        try:
            with ThreadPoolExecutor(self._count, thread_name_prefix="worker") as pool, closing(self):
                answers = ordered(
                    pool, lambda group: self._measured(group, options, program), _groups(patients),
                    ahead=_AHEAD * self._count,
                )  # fmt: skip
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
                for folder in ("labels", OVERLAYS):
                    remove_partial(options.out / folder)

    def close(self) -> None:
        """Kill all workers; whoever waits for one gets an error."""
        with self._lock:
            self._ended = True
            for worker in self._workers:
                self._ray.kill(worker)
            self._workers.clear()

    def _measured(self, group: _Group, options: Options, program: str) -> _Answer:
        for left in reversed(range(_TRIES)):
            worker = self._taken()
            try:
                answer: _Answer = self._ray.get(worker.measure.remote(group, options, program))
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
                        f"{_TRIES} workers died over the same patients, the last thus: {_line(error)}"
                        f" Their images may need more memory than there is; patients: {names}"
                    ) from error
            else:
                self._free.put(worker)
                return answer
        raise AssertionError("unreachable")

    def _taken(self) -> Any:
        """A worker that is ready, waiting for one that is coming where none is."""
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
        """Let those who have become ready begin."""
        arrived, _ = self._ray.wait(list(self._coming), num_returns=1, timeout=0.2)
        for one in arrived:
            worker = self._coming.pop(one)
            try:
                self._ray.get(one)
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
    return ClusterError(f"a worker could not begin; is cardiolabel installed on all machines? {_line(error)}")


def _groups(patients: Iterable[Sequence[Record]]) -> Iterator[_Group]:
    """Whole patients, a few seconds of work together."""
    group: _Group = []
    weight = 0
    for records in patients:
        group.append([replace(record, path=record.path.absolute()) for record in records])
        weight += sum(_weight(record) for record in records)
        if weight >= _GROUP_STILLS:
            yield group
            group, weight = [], 0
    if group:
        yield group


def _weight(record: Record) -> int:
    still = record.phase in (Phase.ED, Phase.ES) and record.view is not View.SAX
    return 1 if still else _CINE_STILLS
