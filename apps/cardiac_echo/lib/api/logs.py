"""Log and GPU state of the server, for administrators."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse

from lib.security.roles import Role, needs
from lib.server.errors import refused

router = APIRouter(prefix="/logs", tags=["Others"], dependencies=[needs(Role.ADMIN)])

_LINE_BYTES = 400  # most are shorter
_GPU_S = 20


@router.get("/", summary="The end of the log", response_class=PlainTextResponse)
def log(lines: Annotated[int, Query(ge=1, le=10_000)] = 300) -> PlainTextResponse:
    """Return the end of the log as plain text."""
    path = _log_file()
    if path is None or not path.is_file():
        raise refused(404, "no_log", "there is no log file; the server was started with its own log settings")
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - lines * _LINE_BYTES), os.SEEK_SET)
        tail = file.read().decode("utf-8", errors="replace").splitlines(keepends=True)
    return PlainTextResponse("".join(tail[-lines:]))


def _log_file() -> Path | None:
    """Return the file of the root logger."""
    handlers = (
        handler for handler in logging.getLogger().handlers if isinstance(handler, logging.FileHandler)
    )
    return next((Path(handler.baseFilename) for handler in handlers), None)


@router.get("/gpu", summary="The GPU's state (nvidia-smi)", response_class=PlainTextResponse)
def gpu() -> PlainTextResponse:
    """Return the output of ``nvidia-smi``."""
    program = shutil.which("nvidia-smi")
    if program is None:
        raise refused(404, "no_gpu", "there is no nvidia-smi on the server; it predicts on its CPU")
    try:
        printed = subprocess.run([program], capture_output=True, text=True, timeout=_GPU_S, check=True)  # noqa: S603
    except (subprocess.SubprocessError, OSError):
        raise refused(503, "gpu_unavailable", "nvidia-smi does not answer; look at the server") from None
    return PlainTextResponse(printed.stdout)
