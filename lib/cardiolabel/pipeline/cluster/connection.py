"""Connection to Ray: started here, or joined where it runs."""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
from typing import Any

from cardiolabel.errors import ClusterError

LOCAL = "local"
"""Value that starts Ray on this machine."""

_REACH_S = 10.0
_STORE_BYTES = 256 * 2**20
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no report to Ray's maker
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # nothing of Ray's on the command's output; read as it is imported
}


def imported_ray() -> Any:
    """Import Ray with quiet settings; raises `ClusterError` if it is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise ClusterError("Ray is not installed; pip install 'cardiolabel[cluster]'")
    os.environ.update(_QUIET)
    import ray

    return ray


def connect(ray: Any, where: str, workers: int | None) -> None:
    """Start Ray here, or join a running one."""
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        if where == LOCAL:
            ray.init("local", num_cpus=workers, object_store_memory=_STORE_BYTES, **quiet)
            return
        if where != "auto":
            _reach(where)
        ray.init(where, log_to_driver=False, logging_level=logging.CRITICAL)
    except (ray.exceptions.RayError, OSError, RuntimeError, ValueError) as error:
        raise ClusterError(f"no Ray cluster at {where!r}: {error_text(error)}") from error


def _reach(where: str) -> None:
    """Raise OSError or ValueError unless an address accepts connections; Ray itself would try for minutes."""
    host, _, port = where.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError("expected local, auto, ray://HOST:PORT or HOST:PORT")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_S).close()


def error_text(error: BaseException) -> str:
    """Return a Ray error's text in one line of bounded length."""
    return " ".join(str(error).split())[:300]
