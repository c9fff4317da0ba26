"""Watches label files for changes by other programs."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from cardiolabel.records.layout import SUFFIX, StudiesLayout, id_of

logger = logging.getLogger(__name__)

Changed = set[tuple[str, str]]
"""Image ids and tags."""

_READ = {"opened", "closed_no_write"}
_COMING_OR_GOING = {"created", "deleted", "moved"}


class LabelWatch(FileSystemEventHandler):
    """Watches ``labels/`` of a studies folder; `changes` returns the changes since the last call.

    ``labels`` and its folders may be links; their targets are watched.
    """

    def __init__(self, folder: Path) -> None:
        self._labels = StudiesLayout(folder).labels
        self._observer: Any = None
        self._real = self._labels
        self._linked: dict[Path, str] = {}
        self._identity: tuple[int, int] | None = None
        self._changed: Changed = set()
        self._folders_changed = self._stale = False
        self._lock = threading.Lock()
        self._arming = threading.Lock()

    def start(self) -> bool:
        """Start watching; False where the system cannot watch folders (some network mounts)."""
        try:
            self._labels.mkdir(exist_ok=True)
            self._observer = Observer()
            self._observer.daemon = True
            self._observer.start()
            self._arm()
        except OSError as error:
            logger.warning("labels/ cannot be watched (%s); changes by others show after a restart", error)
            self.stop()
            return False
        return True

    def stop(self) -> None:
        """Stop watching."""
        observer, self._observer = self._observer, None
        if observer:
            observer.stop()
            if observer.is_alive():
                observer.join()

    def changes(self) -> Changed | None:
        """Return the labels whose files changed since the last call; None where whole folders came or
        went.
        """
        with self._arming:
            changed_folders = self._folders_changed
            if self._observer and (self._stale or _identity(self._labels) != self._identity):
                self._stale, changed_folders = False, True
                self._arm_again()
            if changed_folders:
                self._folders_changed = False
                return None
        with self._lock:
            changed, self._changed = self._changed, set()
        return changed

    def put_back(self, changed: Changed | None) -> None:
        """Return these changes again at the next call of `changes`."""
        with self._lock:
            self._changed |= changed or set()
        if changed is None:
            self._folders_changed = True

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Record the label of an event that changed a file."""
        if event.event_type in _READ:
            return
        for name in (event.src_path, event.dest_path):
            path = Path(str(name))
            if not name or path.name.startswith("."):
                continue
            if path.parent == self._real:
                # A folder that is moved takes its files with it, and nothing is said of them.
                self._folders_changed |= event.event_type in _COMING_OR_GOING
                # A new folder is watched by itself; a link to one is not.
                self._stale |= event.event_type in {"deleted", "moved"} or path.is_symlink()
            elif path.name.endswith(SUFFIX) and not event.is_directory:
                tag = path.parent.name if path.parent.parent == self._real else self._linked.get(path.parent)
                if tag:
                    with self._lock:
                        self._changed.add((id_of(path), tag))

    def _arm_again(self) -> None:
        try:
            self._observer.unschedule_all()
            self._arm()
        except OSError as error:
            logger.warning("labels/ cannot be watched any more (%s)", error)

    def _arm(self) -> None:
        self._identity = _identity(self._labels)
        if self._identity is None:
            return
        self._real = self._labels.resolve()
        links = [path for path in self._real.iterdir() if path.is_symlink() and path.is_dir()]
        self._linked = {path.resolve(): path.name for path in links}
        self._observer.schedule(self, str(self._real), recursive=True)
        for path in self._linked.keys() - {self._real}:
            self._observer.schedule(self, str(path), recursive=False)


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return the identity of a folder, which another of the same name does not share; None where there is
    none.
    """
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
