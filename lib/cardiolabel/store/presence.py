"""Locks that tell processes side by side from one that has the studies folder to itself."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from cardiolabel.errors import BusyError

NAME = "lock"
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})
"""Errors of file systems without locks, as some network mounts."""
_PATIENCE_S = 2.0
"""Seconds to wait for a process that has the folder to itself while it starts."""


class Presence:
    """Tells other processes that this one works on a studies folder, until it is closed or ends.

    Parameters
    ----------
    home : Path
        The folder ``.cardiolabel`` of the studies folder.
    alone : bool
        Have the folder to itself; otherwise beside others.

    Attributes
    ----------
    is_alone : bool or None
        Whether no other process was there when it began; None where the file system cannot tell.

    Raises
    ------
    BusyError
        Others work on the folder, or one has it to itself.
    OSError
        The folder is not writable.
    """

    def __init__(self, home: Path, *, alone: bool = False) -> None:
        self._handle = os.open(home / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            self.is_alone = self._locks(fcntl.LOCK_EX)
            if alone and self.is_alone is False:
                raise BusyError(
                    f"{home.parent}: a server or another command works on this folder; stop it first"
                )
            if not alone and not self._shares():
                raise BusyError(
                    f"{home.parent}: its records are being rebuilt or restored; try again when that has ended"
                )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the lock."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Presence:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _shares(self) -> bool:
        end = time.monotonic() + _PATIENCE_S
        while self._locks(fcntl.LOCK_SH) is False:
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def _locks(self, how: int) -> bool | None:
        try:
            fcntl.flock(self._handle, how | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return None
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                return False
            raise
        return True
