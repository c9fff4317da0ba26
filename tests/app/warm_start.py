"""Starts servers from a process that has their slow packages loaded already, so that each takes a second.

The process forks once per server. The copy gets the arguments, variables, folder, umask and log of a new
process, and runs the module that the command names. What reads variables while it is imported (MONAI Label
and the app) is imported in the copy.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SLOW = """
cardiolabel.active_learning.worklist cardiolabel.experiments.servers cardiolabel.inference.predictor
cardiolabel.pipeline.infer_folder cardiolabel.reporting.figure cardiolabel.store.store
cardiolabel.training.retraining.retrain fastapi.openapi.utils matplotlib.backends.backend_agg
matplotlib.font_manager monai.apps monai.data monai.inferers monai.losses monai.networks.nets monai.transforms
numpy pandas pydicom requests scipy.ndimage scipy.signal SimpleITK skimage.measure sqlalchemy timm torch
uvicorn watchdog.observers
""".split()


class WarmProcess:
    """A server that was forked; has what tests use of `subprocess.Popen`."""

    def __init__(self, starter: Starter, pid: int) -> None:
        self._starter, self.pid = starter, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._starter.ask({"poll": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = time.monotonic() + (timeout if timeout is not None else 3600)
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            time.sleep(0.02)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Starter:
    """The process that forks servers; started when it is first asked, ended with this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self, module: str, arguments: Sequence[str], *, env: dict[str, str], cwd: Path, log: Path
    ) -> WarmProcess:
        umask = os.umask(0)
        os.umask(umask)
        request = {
            "module": module,
            "arguments": list(arguments),
            "env": env,
            "cwd": str(cwd),
            "log": str(log),
        }
        return WarmProcess(self, self.ask({**request, "umask": umask}))

    def close(self) -> None:
        """End the process; servers that still run are not ended."""
        if self._connection is not None and self._process is not None:
            self._connection.close()
            self._process.wait()

    def ask(self, request: dict[str, Any]) -> Any:
        with self._lock:
            if self._connection is None:
                self._connection, self._process = _begin()
            connection = self._connection
            connection.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(_line(connection))


def _begin() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    here, present = socket.socketpair()
    root = Path(__file__).parents[2]
    path = os.pathsep.join(filter(None, (str(root / "lib"), str(root), os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.app.warm_start", str(present.fileno())],
            pass_fds=[present.fileno()],
            env={**os.environ, "PYTHONPATH": path},
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=output,
        )
    present.close()
    return here, process


def _line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        part = connection.recv(65536)
        if not part:
            raise EOFError("the process that starts servers has ended")
        line += part
    return line


def serve(connection: socket.socket) -> None:
    """Fork and watch servers until the connection ends."""
    from cardiolabel.networks.torchvision_import import torchvision_module
    from cardiolabel.system.lean_start import leave_out

    leave_out()
    torchvision_module("torchvision")
    for name in SLOW:
        __import__(name)
    font_manager: Any = importlib.import_module("matplotlib.font_manager")
    assert font_manager.fontManager  # found once, not by each server
    codes: dict[int, int] = {}
    while True:
        try:
            request = json.loads(_line(connection))
        except EOFError:
            return
        if "poll" in request:
            pid = request["poll"]
            if pid not in codes:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    codes[pid] = os.waitstatus_to_exitcode(status)
            answer = codes.get(pid)
        else:
            answer = os.fork()
            if not answer:
                connection.close()
                _become(request)
        connection.sendall(json.dumps(answer).encode() + b"\n")


def _become(request: dict[str, Any]) -> None:
    """Run a module as a new process would; does not return."""
    os.setsid()
    os.chdir(request["cwd"])
    os.umask(request["umask"])
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.clear()
    os.environ.update(request["env"])
    folders = request["env"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = ["", *folders, *(path for path in sys.path[1:] if path not in folders)]
    sys.argv = [request["module"], *request["arguments"]]
    tempfile.tempdir = None  # it was looked up with the variables of this process's parent
    code = 0
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:  # noqa: BLE001  (as the interpreter's own end does)
        traceback.print_exc()
        code = 1
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
