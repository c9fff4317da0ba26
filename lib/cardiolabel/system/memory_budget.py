"""One memory budget for all work of this process.

Work on an image first states, from the image's header, the most memory that it will take. What could never
fit is refused; what does not fit beside other work waits a while.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from cardiolabel.errors import InputError, OverloadedError, TooLargeError

MB = 1024**2

LIMIT_BYTES = 8192 * MB
"""Default limit for one piece of work, and for all at once; servers set another."""

LIMIT_VARIABLE = "CARDIOLABEL_MAX_REQUEST_MB"
"""Environment variable with another limit; read by the server and the command line."""

_SMALL_BYTES = 192 * MB
"""Memory reserved for small work, so that it need not wait for a long cine."""

_WAITING = 4
"""Most threads that wait for memory; more would leave none for other requests."""

_AT_ONCE = 6
"""Most pieces of work at once; many more than cores would slow everything down."""

_PATIENCE_S = 10.0
_SMALL_PATIENCE_S = 60.0

_reserved: ContextVar[int | None] = ContextVar("reserved bytes of this piece of work", default=None)


class Budget:
    """Memory in bytes for the work of a process; safe to use from several threads.

    Parameters
    ----------
    limit_bytes : int
        For one piece of work, and for all large ones together.
    patience_s, small_patience_s : float
        How long a large, or a small, piece of work waits for its memory and its turn.
    """

    def __init__(
        self,
        limit_bytes: int = LIMIT_BYTES,
        *,
        patience_s: float = _PATIENCE_S,
        small_patience_s: float = _SMALL_PATIENCE_S,
    ) -> None:
        self.limit_bytes = limit_bytes
        self.patience_s, self.small_patience_s = patience_s, small_patience_s
        self._used = self._waiting = self._running = 0
        self._changed = threading.Condition()

    @contextmanager
    def reserved(self, name: str, needed: int) -> Iterator[None]:
        """Reserve memory within the block.

        Nested blocks, also in threads that share the context, use the outermost reservation.

        Parameters
        ----------
        name : str
            What needs it, for messages.
        needed : int
            Bytes at most.

        Raises
        ------
        TooLargeError
            More than the limit.
        OverloadedError
            Others did not give back enough in time.
        """
        self.check(name, needed)
        before = _reserved.get()
        is_new = before is None
        more = max(needed - (before or 0), 0)
        if not (more or is_new):
            yield
            return
        self._take(more, is_new=is_new)
        token = _reserved.set((before or 0) + more)
        try:
            yield
        finally:
            _reserved.reset(token)
            with self._changed:
                self._used -= more
                self._running -= is_new
                self._changed.notify_all()

    def check(self, name: str, needed: int) -> None:
        """Raise `TooLargeError` if something needs more memory than the limit."""
        if needed > self.limit_bytes:
            raise TooLargeError(
                f"{name}: needs {needed / MB:.0f} MB of memory by its header; expected at most"
                f" {self.limit_bytes / MB:.0f} MB; send fewer or smaller frames"
            )

    def _take(self, more: int, *, is_new: bool) -> None:
        is_small = more <= _SMALL_BYTES
        patience_s = self.small_patience_s if is_small else self.patience_s

        def fits() -> bool:
            has_room = self._used + more <= self.limit_bytes + (_SMALL_BYTES if is_small else 0)
            return has_room and not (is_new and self._running >= _AT_ONCE)

        with self._changed:
            if not fits():
                if not is_small and self._waiting >= _WAITING:
                    raise OverloadedError(_BUSY)
                self._waiting += not is_small
                try:
                    if not self._changed.wait_for(fits, patience_s):
                        raise OverloadedError(_BUSY)
                finally:
                    self._waiting -= not is_small
            self._used += more
            self._running += is_new


_BUSY = "the memory is taken by other requests; try again in a while"

budget = Budget()
"""The budget of this process."""


def set_limit(limit_bytes: int) -> None:
    """Set the limit of this process, at a program's start."""
    budget.limit_bytes = limit_bytes


def set_limit_by_environment() -> None:
    """Set the limit from `LIMIT_VARIABLE`, if it is set, at a program's start.

    Raises
    ------
    InputError
        It is no whole number of MB.
    """
    text = os.environ.get(LIMIT_VARIABLE)
    if not text:
        return
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise InputError(f"{LIMIT_VARIABLE}={text[:40]!r}: expected a whole number of MB")
    set_limit(int(text) * MB)
