"""Processes of `worker.py`, and what must hold of a folder whatever happened to those who wrote into it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cardiolabel.records.layout import FINAL
from cardiolabel.store.store import Store
from cardiolabel.store.versions import Origin

from .folders import Folder, text_of

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("worker.py")
LIMIT_S = 300


class Worker:
    """A process that works on a folder."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")
        self._pid = 0

    def ready(self) -> None:
        """Wait until its store is open."""
        text = json.loads(self._lines.readline())
        assert "pid" in text, text["error"]
        self._pid = text["pid"]

    def go(self) -> None:
        """Let it begin."""
        self._connection.sendall(b"\n")

    def kill(self) -> None:
        """End it as kill -9 does."""
        os.kill(self._pid, signal.SIGKILL)

    def said(self) -> list[dict[str, Any]]:
        """Wait for its end; everything that it acknowledged."""
        with self._connection, self._lines:
            # One that is killed may leave half a line.
            result = [json.loads(line) for line in self._lines if line.endswith(b"\n")]
        for each in result:
            assert "error" not in each, each["error"]
        return result


class Workers:
    """Starts processes."""

    def __init__(self, folder: Path) -> None:
        path = os.pathsep.join(filter(None, (str(ROOT / "lib"), os.environ.get("PYTHONPATH"))))
        env = {**os.environ, "PYTHONPATH": path}
        self._process = subprocess.Popen([sys.executable, SCRIPT], stdin=subprocess.PIPE, text=True, env=env)
        self._path = str(folder / "line")
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.settimeout(LIMIT_S)
        self._listening.bind(self._path)
        self._listening.listen()

    def start(self, task: str, folder: Folder, **told: Any) -> Worker:
        """One more process, which opens a store on the folder and waits."""
        told = {"task": task, "line": self._path, "folder": str(folder.path), "url": folder.url, **told}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        connection, _ = self._listening.accept()
        connection.settimeout(LIMIT_S)
        return Worker(connection)

    def close(self) -> None:
        """Start no more."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(LIMIT_S)
        self._listening.close()


def at_once(workers: Sequence[Worker]) -> list[dict[str, Any]]:
    """Start all when all are ready, and wait for what they say."""
    for worker in workers:
        worker.ready()
    for worker in workers:
        worker.go()
    text = [worker.said() for worker in workers]
    assert all(lines[-1] == {"done": True} for lines in text)
    return [line for lines in text for line in lines[:-1]]


def check(folder: Folder, store: Store, saved: Iterable[dict[str, Any]]) -> None:
    """Everything acknowledged is there, every file is whole, and records, counts and files agree."""
    acknowledged: dict[str, dict[int, dict[str, Any]]] = {}
    for each in saved:
        assert each["number"] not in acknowledged.setdefault(each["image"], {}), f"twice: {each}"
        acknowledged[each["image"]][each["number"]] = each
    labelled, is_open = [], set(store.image_ids(is_open=True))
    for image_id in store.image_ids():
        listed = store.history(image_id, FINAL)
        assert [version.number for version in listed] == list(range(1, len(listed) + 1))
        assert len({(version.modified_ns, version.size) for version in listed}) == len(listed)
        for version in listed:
            text = text_of(store.version(image_id, FINAL, version.number)[1])
            assert version.info == {"text": text} and version.origin in {Origin.SAVED, Origin.CONFLICT}
            told = acknowledged.get(image_id, {}).pop(version.number, None)
            if told is not None:
                assert (told["text"], told["author"]) == (text, version.author)
                assert told["conflict"] == (version.origin is Origin.CONFLICT)
        assert not acknowledged.get(image_id), f"acknowledged and not there: {acknowledged[image_id]}"
        current = store.label(image_id, FINAL)
        if current is not None:
            labelled.append(f"final/{image_id}.nii.gz")
            assert current.number == max(each.number for each in listed if each.origin is Origin.SAVED)
            assert text_of(folder.label(image_id)) == current.info["text"]
            assert folder.label(image_id).stat().st_mtime_ns == current.modified_ns
        assert (current is None) == (image_id in is_open) == (not listed)
    assert folder.visible() == labelled
    assert store.counted() == (len(store.image_ids()), {FINAL: len(labelled)} if labelled else {})
