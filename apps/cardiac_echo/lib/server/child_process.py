"""Child processes, started with nothing that a request could choose.

MONAI Label puts a path of the request on a process's ``PYTHONPATH`` (``bundle_path``), and Python then runs
the ``sitecustomize.py`` in it. Here command and environment are fixed: Python runs isolated (``-I``), the
variables are listed, and the request goes through standard input.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from monailabel.utils.async_tasks import utils as background

import cardiolabel
from lib.server.errors import refused

logger = logging.getLogger(__name__)

VARIABLES = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP"),
        *("LD_LIBRARY_PATH", "SYSTEMROOT", "XDG_CACHE_HOME", "XDG_STATE_HOME"),
    }
)
"""Environment variables of the system that child processes get."""

PREFIXES = (
    *("LC_", "MONAI_LABEL_", "CARDIOLABEL_"),
    *("CUDA_", "NVIDIA_", "OMP_", "MKL_", "OPENBLAS_", "KMP_", "PG"),
)
"""Prefixes of further variables: settings of the server, of threads and GPUs, of PostgreSQL."""

SILENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "RAY_USAGE_STATS_ENABLED": "0"}
"""Variables that switch off usage reports; MLflow, which MONAI Label's trainers import, would send them."""

_SOURCE = Path(next(iter(cardiolabel.__path__))).parent
_TASK = Path(__file__).parents[2] / "task.py"
_GPUS = re.compile(r"[0-9]{1,3}(,[0-9]{1,3}){0,63}")
_MODULE = (
    "import runpy, sys; sys.path.insert(0, sys.argv[1]); import cardiolabel; "
    "sys.path.append(sys.path.pop(0)); del sys.argv[:2]; "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)
_SHOWN_LINES = 20


def run_module(command: list[str], *, at_most_s: float) -> subprocess.CompletedProcess[bytes]:
    """Run a command of `module_command` to its end, and return what it printed and its exit code.

    Raises
    ------
    subprocess.TimeoutExpired
        It took longer; it is killed.
    """
    return subprocess.run(  # noqa: S603  a fixed command, and paths that this server chose
        command,
        env=environment(os.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=at_most_s,
        check=False,
    )


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child process.

    Examples
    --------
    >>> environment({"PATH": "/bin", "LC_ALL": "C", "PYTHONPATH": "/x", "LD_PRELOAD": "/x.so"}) == {
    ...     "PATH": "/bin", "LC_ALL": "C", **SILENT
    ... }
    True
    """
    return {
        name: value for name, value in variables.items() if name in VARIABLES or name.startswith(PREFIXES)
    } | SILENT


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module isolated, with the server's own `cardiolabel`."""
    return [*_python(), "-c", _MODULE, str(_SOURCE), module, *arguments]


def run_task(
    task: dict[str, Any], method: str, callback: Callable[[dict[str, Any]], None] | None = None
) -> None:
    """Run a task to its end, in place of MONAI Label's ``_task_func``.

    Parameters
    ----------
    task : dict
        Its record, which is kept up to date: ``status``, the last lines as ``details``, ``end_ts``.
    method : str
        ``train``, ``batch_infer`` or ``scoring``.
    callback : callable, optional
        Told the record at the end.
    """
    log, lines = logging.getLogger(f"task_{method}"), deque[str](maxlen=_SHOWN_LINES)
    running = background.background_processes[method]
    task["details"], ended_well = lines, False
    try:
        process = _started(method, task["request"])
        running[task["id"]] = process
        task["status"] = "RUNNING"
        for line in process.stdout or ():
            if line.strip():
                log.info("%s", line.rstrip())
                lines.append(line.rstrip())
        ended_well = process.wait() == 0
    except OSError as error:
        logger.error("no process for a task could be started: %s", error.strerror)
    finally:
        running.pop(task["id"], None)
        task["end_ts"] = datetime.today().strftime("%Y-%m-%d %H:%M:%S")
        if task["status"] != "STOPPED":
            task["status"] = "DONE" if ended_well else "ERROR"
    if callback:
        callback(task)


def _started(method: str, request: Mapping[str, Any]) -> subprocess.Popen[str]:
    process = subprocess.Popen(  # noqa: S603  the app's own command
        [*_python(), str(_TASK), str(_SOURCE), method],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env={**environment(os.environ), **_chosen(method, request)},
    )
    if process.stdin:
        with suppress(BrokenPipeError), process.stdin as pipe:  # it may have ended already, and says why
            pipe.write(json.dumps(request))
    return process


def _chosen(method: str, request: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that depend on a task: its GPUs, which must be numbers."""
    gpus = str(request.get("gpus") or "all")
    if gpus != "all" and not _GPUS.fullmatch(gpus):
        raise refused(422, "bad_params", "gpus: expected all, or numbers with commas between them")
    variables = {} if gpus == "all" else {"CUDA_VISIBLE_DEVICES": gpus}
    return {**variables, "MONAI_LABEL_DATASTORE_AUTO_RELOAD": "false"} if method == "train" else variables


def _python() -> list[str]:
    """Return the command of an isolated Python in UTF-8 mode."""
    return [sys.executable, "-I", "-X", "utf8"]
