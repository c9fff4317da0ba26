"""Servers on this machine, started and ended by a benchmark or a replay."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from cardiolabel.errors import CardiolabelError

LEAN, MONAI_LABEL = "cardiolabel.system.lean_start", "monailabel.main"
"""Modules that start a server."""

_START_S, _STOP_S, _ANSWER_S = 180, 10, 1800
_POLL_S = 0.02
_CALLER_S = 1.0
_LOG_LINES = 5


def end_with_the_caller(caller: int | None = None) -> None:
    """Lower this process's priority, and end it when its parent is gone.

    Nobody else could stop it, and the next server could not use its port until it ends.

    Parameters
    ----------
    caller : int, optional
        Id of that process, which may be gone by now; by default this one's parent.
    """
    os.nice(19)
    caller = caller or os.getppid()

    def watch() -> None:
        while os.getppid() == caller:
            time.sleep(_CALLER_S)
        os._exit(1)

    threading.Thread(target=watch, name="watch-caller", daemon=True).start()


def quiet(model: str) -> dict[str, str]:
    """Return the settings of a server that serves one model and runs nothing in the background."""
    return {"models": model, "scoring": "off"}


class ServerError(CardiolabelError):
    """A server did not start, or answered with an error."""


@dataclass(frozen=True, eq=False)
class Server:
    """A running server; each request has a connection of its own, as with MONAI Label's client."""

    port: int
    log: Path

    def infer(self, model: str, image_id: str) -> bytes:
        """Predict and measure an image, as MONAI Label's client does."""
        return self._post(f"/infer/{model}?image={quote(image_id)}", urlencode({"params": "{}"}))

    def batch_infer(self, model: str) -> None:
        """Predict every image within the server's process."""
        params = {"device": "cpu", "multi_gpu": False, "max_workers": 1, "logging": "WARNING"}
        self._post(f"/batch/infer/{model}?run_sync=true", json.dumps(params), kind="application/json")

    def _post(self, path: str, body: str, kind: str = "application/x-www-form-urlencoded") -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_ANSWER_S)
        with closing(connection):
            connection.request("POST", path, body, {"Content-Type": kind})
            answer = connection.getresponse()
            answer_bytes = answer.read()
        if answer.status != http.client.OK:
            raise ServerError(f"{path}: answered {answer.status}: {answer_bytes[:200]!r}; {_tail(self.log)}")
        return answer_bytes


@contextmanager
def running(
    app: Path, studies: Path, *, conf: Mapping[str, str], home: Path, module: str = LEAN
) -> Iterator[Server]:
    """Yield a running server of a MONAI Label app, and end it with the block.

    Parameters
    ----------
    app, studies : Path
    conf : mapping of str to str
        Settings of the app.
    home : Path
        Takes its log and what it keeps of sessions.
    module : str
        What starts it: `LEAN`, as ``cardiolabel serve`` does, or `MONAI_LABEL`.

    Raises
    ------
    ServerError
        It does not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home.mkdir(parents=True, exist_ok=True)
    log = home / "server.log"
    command = [sys.executable, "-m", module, "start_server", "--app", app, "--studies", studies]
    settings = [word for name, value in conf.items() for word in ("--conf", name, value)]
    source = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  our own command
            [*map(str, command), *settings, "--host", "127.0.0.1", "--port", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=home,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": source, "MONAI_LABEL_SESSION_PATH": str(home)},
        )
    try:
        _wait(process, port, log)
        yield Server(port, log)
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerError(f"a server ended instead of starting; {_tail(log)}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(_POLL_S)
    raise ServerError(f"a server did not start within {_START_S} s; {_tail(log)}")


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "its log ends with: " + " | ".join(lines[-_LOG_LINES:])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and its child processes."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
            return
