"""A real server on a free port of this machine, started as a user starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from cardiolabel.datasets.phantom import write_sample
from cardiolabel.domain import Clip, Spacing
from cardiolabel.experiments.servers import LEAN
from cardiolabel.io import nifti

from .browser import Watched, chromium, opened
from .warm_start import Starter, WarmProcess

Process = subprocess.Popen[bytes] | WarmProcess
STARTER = Starter()
ROOT = Path(__file__).parents[2]
APP = ROOT / "apps" / "cardiac_echo"
WEIGHTS = APP / "model" / "camus.safetensors"
START_S, STOP_S, ANSWER_S = 120, 10, 120

needs_weights = pytest.mark.skipif(
    not WEIGHTS.exists(), reason=f"needs the shipped weights, {WEIGHTS.relative_to(ROOT)}"
)


@pytest.fixture(scope="session", autouse=True)
def _starter() -> Iterator[None]:
    yield
    STARTER.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def tab(browser: Any) -> Iterator[Watched]:
    with opened(browser) as tab:
        yield tab
        assert not tab.problems


class Server:
    """Requests to a running server."""

    def __init__(
        self, url: str, studies: Path, log: Path, process: subprocess.Popen[bytes] | WarmProcess
    ) -> None:
        self.url, self.studies, self.log, self.process = url, studies, log, process

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return requests.request(method, self.url + path, timeout=ANSWER_S, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> requests.Response:
        return self.request("PUT", path, **options)


@contextmanager
def running(command: Sequence[str], studies: Path, *, warm: bool = True) -> Iterator[Server]:
    """Start a server, wait until it answers, and end it and its children whatever happens.

    Unless ``warm`` is False, a lean start is a fork of a process that has the slow packages loaded.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = os.pathsep.join(filter(None, (str(ROOT / "lib"), os.environ.get("PYTHONPATH"))))
    home = str(studies.parent / "home")  # MONAI Label keeps the uploads of sessions in ~/.cache
    log = studies.parent / "server.log"
    env = {**os.environ, "PYTHONPATH": path, "HOME": home, "MONAI_LABEL_SESSION_PATH": home}
    arguments = [*command, "--port", str(port)]
    process: Process
    if warm and arguments[1:3] == ["-m", LEAN]:
        process = STARTER.start(LEAN, arguments[3:], env=env, cwd=studies.parent, log=log)
    else:
        with log.open("wb") as output:
            process = subprocess.Popen(
                arguments,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=studies.parent,
                start_new_session=True,
            )
    try:
        server = Server(f"http://127.0.0.1:{port}", studies, log, process)
        _wait_until_ready(server, process)
        yield server
    finally:
        _end(process)


def _wait_until_ready(server: Server, process: Process) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if requests.get(f"{server.url}/info/", timeout=ANSWER_S).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    tail = server.log.read_text(errors="replace")[-3000:]
    pytest.fail(f"the server did not start (exit code {process.poll()}):\n{tail}")


def _end(process: Process) -> None:
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, kind)
            process.wait(STOP_S)
        except ProcessLookupError:
            process.wait(STOP_S)
            return
        except subprocess.TimeoutExpired:
            continue


def start_server_command(app: Path, studies: Path, *, module: str = LEAN) -> list[str]:
    """Start an app as ``cardiolabel serve`` does, or in MONAI Label's own way."""
    return [
        *(sys.executable, "-m", module, "start_server"),
        *("--app", str(app), "--studies", str(studies), "--host", "127.0.0.1"),
    ]


def make_studies(folder: Path) -> Path:
    """Two phantom patients: one of stills, one with cines as well."""
    write_sample(folder, patients=2, seed=1)
    return folder


def true_masks(studies: Path, image_id: str) -> np.ndarray:
    """What the phantom's masks are, ``(T, H, W)``."""
    return nifti.read_mask(studies / "truth" / f"{image_id}.nii.gz")


def write_still(path: Path, pixels: np.ndarray) -> Path:
    """One frame ``(H, W)`` as a file."""
    nifti.write_clip(Clip(pixels[np.newaxis], Spacing(row_mm=0.3, col_mm=0.3)), path)
    return path
