"""Temporary files of requests, in one folder of this process, which is made again if it was removed."""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

PREFIX = "cardiolabel-server-"
"""Prefix of the processes' folders in the temporary folder."""


@dataclass(frozen=True)
class _Home:
    """A locked folder of a process, released when the process ends in whatever way."""

    path: Path
    handle: int

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.handle)


_homes: list[_Home] = []
_lock = threading.Lock()


def home() -> Path:
    """Return this process's folder, which is removed when the process ends.

    MONAI Label's client saves a result under the server's file name in the temporary folder. On one machine
    that would be the same file, which the server would delete.

    Raises
    ------
    OSError
        It cannot be made.
    """
    with _lock:
        if _homes and not _homes[0].path.is_dir():
            logger.warning("the folder of temporary files was removed; another one is made")
            _homes.pop().remove()
        if not _homes:
            _homes.append(_new_home())
        return _homes[0].path


@contextmanager
def folder() -> Iterator[Path]:
    """Yield a new folder within the block."""
    with tempfile.TemporaryDirectory(dir=home(), ignore_cleanup_errors=True) as name:
        yield Path(name)


def clear_abandoned() -> None:
    """Remove the folders of killed processes: unlocked ones of this user."""
    for path in _parent().glob(f"{PREFIX}*"):
        with suppress(OSError):
            handle = _opened(path)
            try:
                if os.fstat(handle).st_uid == os.geteuid():
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path)
            finally:
                os.close(handle)


def _new_home() -> _Home:
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_parent()))
        with suppress(FileNotFoundError):
            handle = _opened(path)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if path.is_dir():
                return _Home(path, handle)
            os.close(handle)
        # Another process that starts took it for abandoned before it was locked.


def _parent() -> Path:
    """Return the system's temporary folder, made again if it was removed."""
    parent = Path(tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    return parent


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


@atexit.register
def _remove_homes() -> None:
    while _homes:
        _homes.pop().remove()
