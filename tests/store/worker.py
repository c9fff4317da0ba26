"""Server processes of a test: they save, drain or die, and say each acknowledged act as a line of JSON.

As a script it forks one for every line of JSON that it is given, so that the imports, most of a process's
start, happen once.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import random
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from folders import Folder, mask, save  # its neighbour, as a script finds it

from cardiolabel.errors import ConflictError
from cardiolabel.store import label_files, versions
from cardiolabel.store.label_files import LabelFiles
from cardiolabel.store.store import Store
from cardiolabel.store.writer import LabelWriter, Save


class Line:
    """The connection to the test."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._lock = threading.Lock()

    def say(self, **what: Any) -> None:
        """Send one line, whole."""
        with self._lock:
            self._socket.sendall(json.dumps(what).encode() + b"\n")

    def wait(self) -> None:
        """Wait for the start."""
        self._socket.recv(1)


def loop(line: Line, store: Store, *, author: str, ids: list[str], seed: int) -> None:
    """Save until killed."""
    rng = random.Random(seed)  # noqa: S311 - a repeatable order
    for number in itertools.count():
        saved(line, store, rng.choice(ids), f"{author} {number}", author)


def saved(line: Line, store: Store, image_id: str, text: str, author: str) -> None:
    """Save and acknowledge, a conflict too, as both masks are kept then."""
    try:
        number, kept_beside = save(store, image_id, text, author, info={"text": text}).number, False
    except ConflictError as error:
        number, kept_beside = error.details["yours"]["version"], True
    line.say(image=image_id, text=text, author=author, number=number, conflict=kept_beside)


def together(line: Line, work: Callable[[int], None], threads: int) -> None:
    """Run a function in several threads at once; the first failure ends the process."""
    barrier, done = threading.Barrier(threads), list[int]()

    def run(index: int) -> None:
        barrier.wait()
        try:
            work(index)
            done.append(index)
        finally:
            if index not in done:
                line.say(error=traceback.format_exc())
                os._exit(1)

    running = [threading.Thread(target=run, args=(index,)) for index in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def threads(line: Line, store: Store, *, author: str, ids: list[str], count: int, threads: int) -> None:
    """Save from several threads, so many labels each."""

    def work(index: int) -> None:
        rng = random.Random(f"{author} {index}")  # noqa: S311 - a repeatable order
        for number in range(count):
            saved(line, store, rng.choice(ids), f"{author}.{index} {number}", f"{author}.{index}")

    together(line, work, threads)


def drain(line: Line, store: Store, *, author: str, threads: int) -> None:
    """Ask for images until there are none, or none that the thread has not had; every other has no name."""

    def work(index: int) -> None:
        annotator = f"{author}.{index}" if index % 2 else ""
        had = set()
        while lease := store.hand_out(annotator):
            if annotator and lease.image_id in had:
                return
            if lease.image_id in had:
                raise AssertionError(f"{lease.image_id} was handed out twice")
            had.add(lease.image_id)
            line.say(image=lease.image_id, annotator=annotator)

    together(line, work, threads)


def die(line: Line, store: Store, *, step: str, image_id: str) -> None:
    """Save ``first`` unless there is a label, then die at a step of saving ``second``, or of removing it."""
    if step.startswith("remov"):
        patch(LabelFiles, "unpublish", after=step == "removed")
        store.writer.remove_label(image_id, versions.FINAL)
    if step == "writing":
        store.writer.save(
            image_id, versions.FINAL, lambda path: (path.write_bytes(mask("x")[:9]), end()), Save()
        )
    {
        "archived": lambda: patch(label_files, "sync_folder", after=True),
        "staging": lambda: setattr(label_files, "copy_synced", copy_half),
        "staged": lambda: patch(label_files, "copy_synced", after=True),
        "recorded": lambda: patch(versions, "add", after=True),
        "committed": lambda: patch(LabelWriter, "_publish", after=False),
        "publishing": lambda: patch(LabelFiles, "publish", after=False),
        "published": lambda: patch(LabelFiles, "publish", after=True),
    }[step]()
    save(store, image_id, "second", "ann", info={"text": "second"})


def patch(where: Any, name: str, *, after: bool) -> None:
    """Let a function be the last thing, or not even that."""
    original = getattr(where, name)

    def replaced(*arguments: Any, **named: Any) -> NoReturn:
        if after:
            original(*arguments, **named)
        end()

    setattr(where, name, replaced)


def copy_half(source: Path, target: Path, **_: Any) -> NoReturn:
    """Copy as a process does that is killed meanwhile."""
    content = source.read_bytes()
    target.write_bytes(content[: len(content) // 2])
    end()


def end() -> NoReturn:
    """Die as of kill -9: nothing is cleaned up."""
    os._exit(9)


def work(told: dict[str, Any]) -> None:
    """Open a store as a server does, wait for the start and do the task."""
    line = Line(told.pop("line"))
    try:
        folder = Folder(Path(told.pop("folder")), url=told.pop("url"))
        task = {"loop": loop, "threads": threads, "drain": drain, "die": die}[told.pop("task")]
        store = folder.open(watch=True)
        line.say(pid=os.getpid())
        line.wait()
        task(line, store, **told)
        folder.close()
        line.say(done=True)
    except Exception:  # noqa: BLE001 - the test says what it was
        line.say(error=traceback.format_exc())


def main() -> None:
    """Fork a worker for every line."""
    with suppress(ImportError):
        importlib.import_module("psycopg")  # before the forks, if it is there at all
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for told in sys.stdin:
        if os.fork() == 0:
            try:
                work(json.loads(told))
            finally:
                os._exit(0)  # even where the test has gone, and nobody listens


if __name__ == "__main__":
    main()
