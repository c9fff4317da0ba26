"""Limits on memory and disk of all requests together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.exceptions import HTTPException

from lib.server.errors import refused

RETRY_S = 5

_SMALL_PART = 64
"""Share of a budget below which a request is small; small requests have a quarter of it reserved."""


class Share:
    """Part of a `Budget` that one request occupies."""

    def __init__(self, budget: Budget) -> None:
        self._budget, self._taken_bytes = budget, 0

    def grow_to(self, total_bytes: int) -> None:
        """Occupy this much from now on, if that is more than before.

        Raises
        ------
        HTTPException
            503: the others leave no room.
        """
        more = total_bytes - self._taken_bytes
        if more > 0:
            self._budget.take(more, total_bytes)
            self._taken_bytes = total_bytes

    def end(self) -> None:
        """Release the share."""
        self._budget.taken_bytes -= self._taken_bytes
        self._taken_bytes = 0


class Budget:
    """Bytes for all requests at a time; used on the event loop only.

    Parameters
    ----------
    limit_bytes : int
        How many.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes, self.taken_bytes = limit_bytes, 0

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Yield a request's share, for as long as it is answered."""
        share = Share(self)
        try:
            yield share
        finally:
            share.end()

    def take(self, more_bytes: int, total_bytes: int) -> None:
        """Occupy more for a share of this total; 503 if that exceeds the budget.

        A few large shares leave room for small ones.
        """
        is_small = total_bytes * _SMALL_PART <= self.limit_bytes
        limit = self.limit_bytes if is_small else self.limit_bytes * 3 // 4
        if self.taken_bytes + more_bytes > limit:
            raise _full()
        self.taken_bytes += more_bytes


def _full() -> HTTPException:
    return refused(
        503,
        "busy",
        "other requests occupy what this server has for uploads; try again in some seconds",
        headers={"Retry-After": str(RETRY_S), "Connection": "close"},
    )
