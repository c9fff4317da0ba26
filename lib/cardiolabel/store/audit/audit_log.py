"""The audit log: one line of JSON per event, written in the background.

Several processes may write one log: each appends whole lines while it holds the log's lock. The process that
finds the file full renames it to ``….1``, that to ``….2`` and so on; the last is removed.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from filelock import FileLock, Timeout

from cardiolabel.store.audit.rates import Rates

__all__ = ["AuditLog"]

logger = logging.getLogger(__name__)

_MOST_WAITING = 10_000
_BATCH = 500
_TICK_S = 1.0
_LOCK_S = 10.0
_COMPLAINT_S = 60.0
_KEYS = ("event", "who", "client", "code")
"""Events that agree in these fields are counted together."""


class AuditLog:
    """Writes events in a thread of its own; events that cannot be written are counted, and the count is
    written.

    Parameters
    ----------
    path : Path
        The log; only its owner may read it.
    max_bytes : int
        Length at which a new file is started.
    files : int
        How many full files are kept.
    rates : Rates, optional
        Counts events that may come in a flood.
    """

    def __init__(self, path: Path, *, max_bytes: int, files: int, rates: Rates | None = None) -> None:
        self.path, self._max_bytes, self._files = path, max_bytes, files
        self._rates = rates or Rates()
        self._queue: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._lost, self._count_lock = 0, threading.Lock()
        self._complained_s, self._is_ending = -_COMPLAINT_S, False
        self._thread = threading.Thread(target=self._work, name="audit", daemon=True)
        self._thread.start()

    def record(self, entry: Mapping[str, Any], *, per_minute: int | None = None) -> None:
        """Queue an event; it is written soon after.

        Parameters
        ----------
        entry : mapping
            JSON-safe; the time is added.
        per_minute : int, optional
            Of events alike, write so many within a minute, and the number of the rest at its end.
        """
        if per_minute is not None:
            key = tuple(entry.get(name) for name in _KEYS)
            if not self._rates.allows(key, per_minute):
                return
        if self._queue.qsize() >= _MOST_WAITING:
            self._lose(1)
            return
        self._queue.put({"time": _now(), **entry})

    def end_windows(self) -> None:
        """Write the numbers of suppressed events at once from now on; call it before a process ends."""
        self._is_ending = True

    def close(self, timeout_s: float = 5.0) -> None:
        """Write all queued events, and end the thread."""
        self.end_windows()
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _lose(self, count: int) -> None:
        with self._count_lock:
            self._lost += count

    def _work(self) -> None:
        is_open = True
        while is_open:
            entries, is_open = self._waiting()
            entries += [
                _suppressed(key, count) for key, count in self._rates.take_suppressed(early=self._is_ending)
            ]
            if self._lost and entries:
                with self._count_lock:
                    entries.append({"time": _now(), "event": "events lost", "count": self._lost})
                    self._lost = 0
            if entries:
                self._write(entries)
                for entry in entries:
                    logger.info("audit: %s %s", entry["event"], entry.get("code", ""))

    def _waiting(self) -> tuple[list[dict[str, Any]], bool]:
        """Return the queued events once there are some or a while has passed, and whether more may come."""
        entries: list[dict[str, Any]] = []
        try:
            entry = self._queue.get(timeout=_TICK_S)
            while entry is not None:
                entries.append(entry)
                if len(entries) >= _BATCH:
                    return entries, True
                entry = self._queue.get_nowait()
        except Empty:
            return entries, True
        return entries, False

    def _write(self, entries: Sequence[Mapping[str, Any]]) -> None:
        lines = "".join(json.dumps(entry, ensure_ascii=True, default=str) + "\n" for entry in entries)
        try:
            with FileLock(f"{self.path}.lock", timeout=_LOCK_S, mode=0o600):
                self._rotate(len(lines))
                self._append(lines.encode())
        except (OSError, Timeout, NotImplementedError) as error:  # the last: a file system without locks
            self._lose(sum(int(entry.get("count", 1)) for entry in entries))
            if time.monotonic() - self._complained_s > _COMPLAINT_S:
                self._complained_s = time.monotonic()
                reason = getattr(error, "strerror", None) or "its lock cannot be had"
                logger.warning("the audit log cannot be written (%s); events are counted only", reason)

    def _append(self, content: bytes) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        handle = os.open(self.path, flags, 0o600)
        try:
            before = os.fstat(handle).st_size
            try:
                while content:
                    content = content[os.write(handle, content) :]
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, before)  # no half lines where the disk is full
                raise
        finally:
            os.close(handle)

    def _rotate(self, more_bytes: int) -> None:
        size = self.path.stat().st_size if self.path.exists() else 0
        if not size or size + more_bytes <= self._max_bytes:
            return
        for number in range(self._files - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self.path.replace(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


def _suppressed(key: Hashable, count: int) -> dict[str, Any]:
    alike = dict(zip(_KEYS, key, strict=True)) if isinstance(key, tuple) else {"event": "of many kinds"}
    return {"time": _now(), **alike, "event": "events suppressed", "of": alike["event"], "count": count}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
