"""Long tasks in processes of their own: batch prediction, training, scoring."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

import psutil
from fastapi import APIRouter
from monailabel.interfaces.tasks.batch_infer import BatchInferImageType
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.async_tasks.task import AsyncTask
from monailabel.utils.async_tasks.utils import processes, tasks

from lib.api.schemas import BatchParams, ScoreAllParams, ScoreParams, TrainAllParams, TrainParams
from lib.infers.batch import progress
from lib.security.roles import Role, needs, require
from lib.server.devices import check_device
from lib.server.errors import refused
from lib.trainers.progress import last_task, model_stats

router = APIRouter()

Reader, Annotator, Admin = needs(Role.USER), needs(Role.ANNOTATOR), needs(Role.ADMIN)

KEPT = 50
"""Number of ended tasks that stay listed."""

REFUSED = "REFUSED"
"""Status of a completed training whose model is not better than the served one."""

_STARTED_WITHIN_S = 60
_starting = threading.Lock()


class Kind(StrEnum):
    """Kinds of tasks by MONAI Label's names."""

    BATCH = "batch_infer"
    TRAIN = "train"
    SCORING = "scoring"


ROLES = {Kind.BATCH: Role.ADMIN, Kind.TRAIN: Role.ADMIN, Kind.SCORING: Role.ANNOTATOR}
"""Roles that may start and stop tasks."""

_running_here: set[Kind] = set()


@router.get(
    "/batch/infer", tags=["Infer"], summary="The last prediction of many images", dependencies=[Reader]
)
def batch_status(all: bool = False, check_if_running: bool = False) -> Any:
    """Return the status of a batch, as MONAI Label's endpoint does, without the process's output."""
    return _status(Kind.BATCH, all, check_if_running)


@router.post("/batch/infer/{model}", tags=["Infer"], summary="Predict many images", dependencies=[Admin])
def batch_infer(
    model: str,
    images: BatchInferImageType = BatchInferImageType.IMAGES_ALL,
    params: BatchParams | None = None,
    run_sync: bool = False,
) -> Any:
    """Predict many images, as MONAI Label's endpoint does; one batch at a time."""
    _check_known(model, app_instance()._infers, "model")
    batch = params or BatchParams()
    check_device(batch.device)
    request = {
        "model": model,
        "images": images.value if batch.images is None else batch.images,
        "max_batch_size": batch.max_batch_size,
        "gpus": batch.gpus,
    }
    return _start(Kind.BATCH, [request], run_sync)[0]


@router.delete("/batch/infer", tags=["Infer"], summary="Stop predicting", dependencies=[Admin])
def stop_batch() -> Any:
    """Return the task that was stopped, or nothing."""
    return _stop(Kind.BATCH)


@router.get("/train/", tags=["Train"], summary="The last training", dependencies=[Reader])
def train_status(all: bool = False, check_if_running: bool = False) -> Any:
    """Return the status of a training, as MONAI Label's endpoint does, without the process's output."""
    return _status(Kind.TRAIN, all, check_if_running)


@router.post("/train/", include_in_schema=False, dependencies=[Admin])
def train_all(params: TrainAllParams | None = None, run_sync: bool = False) -> dict[str, Any]:
    """Train every model in turn, those that share weights once; empty where there is none."""
    once = {task.model: name for name, task in reversed(app_instance()._trainers.items())}
    return _start_all(Kind.TRAIN, "model", list(reversed(once.values())), params, run_sync)


@router.post("/train/{model}", tags=["Train"], summary="Train a model", dependencies=[Admin])
def train(model: str, params: TrainParams | None = None, run_sync: bool = False) -> Any:
    """Train a model, as MONAI Label's endpoint does; one at a time."""
    _check_known(model, app_instance()._trainers, "model")
    return _start(Kind.TRAIN, [_request("model", model, params)], run_sync)[0]


@router.delete("/train/", tags=["Train"], summary="Stop training", dependencies=[Admin])
def stop_train() -> Any:
    """Return the task that was stopped, or nothing."""
    return _stop(Kind.TRAIN)


@router.get("/scoring/", tags=["Scoring"], summary="The last scoring", dependencies=[Reader])
def scoring_status(all: bool = False, check_if_running: bool = False) -> Any:
    """Return the status of a scoring, as MONAI Label's endpoint does, without the process's output."""
    return _status(Kind.SCORING, all, check_if_running)


@router.post("/scoring/", include_in_schema=False, dependencies=[Annotator])
def score_all(params: ScoreAllParams | None = None, run_sync: bool = False) -> dict[str, Any]:
    """Score by every method in turn; empty where there is none."""
    return _start_all(Kind.SCORING, "method", list(app_instance()._scoring_methods), params, run_sync)


@router.post("/scoring/{method}", tags=["Scoring"], summary="Score labels", dependencies=[Annotator])
def score(method: str, params: ScoreParams | None = None, run_sync: bool = False) -> Any:
    """Score by one method, as MONAI Label's endpoint does; one at a time."""
    _check_known(method, app_instance()._scoring_methods, "method")
    return _start(Kind.SCORING, [_request("method", method, params)], run_sync)[0]


@router.delete("/scoring/", tags=["Scoring"], summary="Stop scoring", dependencies=[Annotator])
def stop_scoring() -> Any:
    """Return the task that was stopped, or nothing."""
    return _stop(Kind.SCORING)


def _check_known(name: str, names: dict[str, Any], what: str) -> None:
    if name not in names:
        raise refused(
            404, f"unknown_{what}", f"no {what} {name[:80]!r}; there are: {', '.join(names) or 'none'}"
        )


def _request(key: str, name: str, params: TrainParams | ScoreParams | None) -> dict[str, Any]:
    """Return a task's request: the given fields of the schema."""
    request = params.model_dump(mode="json", exclude_none=True) if params else {}
    return {**request, key: name}


def _start_all(
    kind: Kind, key: str, names: list[str], params: TrainAllParams | ScoreAllParams | None, run_sync: bool
) -> dict[str, Any]:
    """Start a task for each name, with its own params."""
    by_name: dict[str, Any] = params.model_extra or {} if params else {}
    unknown = [name for name in by_name if name not in _listed(kind)]
    if unknown:
        raise refused(
            422, "bad_params", f"{unknown[0][:80]!r}: no {key}; there are: {', '.join(names) or 'none'}"
        )
    started = _start(kind, [_request(key, name, by_name.get(name)) for name in names], run_sync)
    return {name: {"result": task, "detail": None} for name, task in zip(names, started, strict=True)}


def _listed(kind: Kind) -> Iterable[str]:
    """Return the models, or methods, that clients see."""
    app = app_instance()
    names: Iterable[str] = app._trainers if kind is Kind.TRAIN else app._scoring_methods
    return names


def _start(kind: Kind, requests: list[dict[str, Any]], run_sync: bool) -> list[Any]:
    """Start tasks, one after the other, unless one of their kind runs already."""
    require(ROLES[kind])
    if kind is Kind.TRAIN:
        for request in requests:
            app_instance()._trainers[request["model"]].settings(request)
    with _starting:
        if _is_busy(kind):
            raise refused(429, "busy", f"{kind} is running already; wait for it or stop it with DELETE")
        if not run_sync:
            _forget_old(kind)
            return [_shown(_run(kind, request), kind) for request in requests]
        _running_here.add(kind)
    try:
        return [_run(kind, request, force_sync=True) for request in requests]
    finally:
        _running_here.discard(kind)


def _run(kind: Kind, request: dict[str, Any], *, force_sync: bool = False) -> Any:
    return AsyncTask.run(kind, request=request, params={}, enqueue=True, force_sync=force_sync)[0]


def _is_busy(kind: Kind) -> bool:
    """Return whether a task runs or waits to start."""
    return (
        kind in _running_here
        or bool(processes(kind))
        or any(task["status"] == "SUBMITTED" and _age_s(task) < _STARTED_WITHIN_S for task in tasks(kind))
    )


def _age_s(task: dict[str, Any]) -> float:
    """Return the time since a task began in seconds, in absolute value, as clocks are set back."""
    return abs(time.time() - datetime.strptime(task["start_ts"], "%Y-%m-%d %H:%M:%S").timestamp())


def _forget_old(kind: Kind) -> None:
    all_tasks = tasks(kind)
    del all_tasks[: max(0, len(all_tasks) - KEPT)]


def _status(kind: Kind, every: bool, check_if_running: bool) -> Any:
    all_tasks = tasks(kind)
    if check_if_running:
        all_tasks = [task for task in all_tasks if task["id"] in processes(kind)]
    if not all_tasks:
        state = "running" if check_if_running else "known"
        raise refused(404, "no_task", f"no {kind} task is {state}")
    shown = [_shown(task, kind) for task in all_tasks]
    return shown if every or check_if_running else shown[-1]


def _stop(kind: Kind) -> Any:
    require(ROLES[kind])
    try:
        stopped = AsyncTask.stop(kind)
    except (psutil.NoSuchProcess, StopIteration, KeyError, IndexError):
        return None  # it ended by itself in that moment
    return _shown(stopped, kind) if stopped else None


def _shown(task: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """Return a task without its process's output, which may name files; the log has it."""
    shown = {key: value for key, value in task.items() if key != "details"}
    if kind is Kind.TRAIN:
        return {**shown, **_training(task)}
    counts = progress(task.get("details") or ())
    return {**shown, "progress": counts} if counts else shown


def _training(task: dict[str, Any]) -> dict[str, Any]:
    """Return the status of a training; only a model's last one has a record.

    3D Slicer shows ``status``, and takes the last line of ``details`` for the result of a stopped one.
    """
    trainers = app_instance()._trainers
    trainer = trainers[task["request"]["model"]]
    last = last_task(trainer, trainers)
    stats = model_stats(trainer, trainers) if last and last["id"] == task["id"] else {}
    status = trainer.status()
    if not stats or status is None or stats["state"] == "starting":
        started = {"progress": stats} if stats else {}
        return {**started, "details": [f"{trainer.model}: {task['status'].lower()}"]}
    is_refused = task["status"] == "DONE" and status.state == "refused"
    return {
        "status": REFUSED if is_refused else task["status"],
        "progress": stats,
        "details": [status.summary],
    }
