"""A memory-bounded cache of results computed from files."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

Value = TypeVar("Value")

FileState = tuple[str, int, int]


def file_state(path: Path) -> FileState:
    """Return the path, modification time in ns and size: changes whenever a file is replaced.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    status = path.stat()
    return str(path), status.st_mtime_ns, status.st_size


class BoundedCache(Generic[Value]):
    """Keeps the most recently used values within ``limit_bytes``; safe between threads."""

    def __init__(self, limit_bytes: int, *, size_of: Callable[[Value], int]) -> None:
        self._limit = limit_bytes
        self._size_of = size_of
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._values

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()
            self._bytes = 0

    def get(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """Return the value of ``key``, computing it if it is not cached; two threads may both compute it."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = compute()
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._bytes += self._size_of(value)
            while self._bytes > self._limit and self._values:
                self._bytes -= self._size_of(self._values.popitem(last=False)[1])
        return value
