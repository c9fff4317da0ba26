"""Limits on connections: their number, and how long each may keep the server waiting.

A connection waits for a request's head, then for its body, then for the client to take the answer.
Connections slower than a working client on a slow line are closed; when there are too many, those that have
waited longest are closed first.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Protocol, TypeVar

from lib.security.shared_addresses import is_shared

logger = logging.getLogger(__name__)

HEAD_S = 10.0
"""Most seconds for the head of a request, from the first byte or from the connection."""

SLOWEST_BYTES_S = 16 * 1024
"""Least bytes per second of a body or an answer, on average over `WINDOW_S` seconds."""

WINDOW_S = 20.0
LINGER_S = 5.0
"""Seconds for which a refused client may go on sending, as most read an answer only afterwards."""

YOUNG_S = 1.0
"""Age in seconds up to which a connection is not closed for another, unless there are twice too many."""

SWEEP_S, REPORT_S = 1.0, 10.0


class Connection(Protocol):
    """Interface of a connection to `Connections`."""

    address: str | None
    """The client's address; None on a socket of this machine."""

    def body_bytes(self) -> int:
        """Return the bytes of the body received so far."""

    def is_held_back(self) -> bool:
        """Return whether this server is not reading, so that a slow body is not the client's fault."""

    def unsent_bytes(self) -> int:
        """Return the bytes of the answer that the client has not taken."""

    def refuse(self, status: int, code: str, message: str) -> None:
        """Send an answer, and read no more."""

    def abort(self) -> None:
        """Close the connection now."""


_Waiting = TypeVar("_Waiting")


class _Progress:
    """Progress of a body or an answer, checked every `SWEEP_S` seconds."""

    def __init__(self, position: int) -> None:
        self.since = _now()
        self._position, self._waited_s = position, 0.0

    def is_too_slow(self, position: int) -> bool:
        """Return whether too few bytes came in a whole window; the next window begins at its end."""
        self._waited_s += SWEEP_S
        if self._waited_s < WINDOW_S:
            return False
        too_slow = abs(position - self._position) < WINDOW_S * SLOWEST_BYTES_S
        self._position, self._waited_s = position, 0.0
        return too_slow


class Connections:
    """All open connections, by what the server waits for.

    Parameters
    ----------
    limit : int
        How many there may be.
    per_address : int
        How many of them one address may have, unless it is this machine's or in `proxies`.
    proxies : str
        Addresses and networks that speak for many clients, separated by commas; ``*`` for all.
    """

    def __init__(self, limit: int, *, per_address: int, proxies: str = "") -> None:
        self.limit, self.per_address, self.proxies = limit, per_address, proxies
        self.open: set[Connection] = set()
        self._by_address: Counter[str] = Counter()
        # Each in the order in which the server began to wait.
        self._heads: dict[Connection, float] = {}
        self._bodies: dict[Connection, _Progress] = {}
        self._answers: dict[Connection, _Progress] = {}
        self._answered: dict[Connection, float] = {}
        self._closed: Counter[str] = Counter()
        self._is_sweeping = False
        self._reported_at = 0.0

    def add(self, connection: Connection) -> None:
        """Accept a connection, or refuse it if none can make room."""
        if not self._is_sweeping:
            self._is_sweeping = True
            asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)
        self.open.add(connection)
        address = self._counted(connection)
        if address:
            self._by_address[address] += 1
        if address and self._by_address[address] > self.per_address:
            if not self._make_room(held for held in self._heads if held.address == address):
                self.refuse(connection, 503, "too_many_connections", "too many connections from one address")
        elif len(self.open) > 2 * self.limit:
            self._abort(next(self._least_needed(), connection), "made_room")
        elif len(self.open) > self.limit and not self._make_room(self._least_needed()):
            self.refuse(connection, 503, "busy", "the server has too many connections; try again later")
        if connection in self.open and connection not in self._answered:
            self._heads[connection] = _now()

    def remove(self, connection: Connection) -> None:
        """Forget a closed connection."""
        if connection not in self.open:
            return
        self.open.discard(connection)
        self._forget_waiting(connection)
        self._answered.pop(connection, None)
        address = self._counted(connection)
        if address:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def wait_for_head(self, connection: Connection) -> None:
        """Start waiting for a request's head."""
        self._wait(connection, self._heads, _now())

    def wait_for_body(self, connection: Connection) -> None:
        """Start waiting for a request's body."""
        self._wait(connection, self._bodies, _Progress(connection.body_bytes()))

    def wait_for_rest(self, connection: Connection) -> None:
        """Start waiting for the rest of a request that was answered early."""
        self._wait(connection, self._answered, _now())

    def wait_until_sent(self, connection: Connection) -> None:
        """Start waiting for the client to take its answer."""
        if connection in self.open:
            self._answers[connection] = _Progress(connection.unsent_bytes())

    def sent(self, connection: Connection) -> None:
        """Stop waiting for the client to take its answer."""
        self._answers.pop(connection, None)

    def wait_for_nothing(self, connection: Connection) -> None:
        """Stop waiting, as the request has arrived."""
        self._heads.pop(connection, None)
        self._bodies.pop(connection, None)
        self._answered.pop(connection, None)

    def refuse(self, connection: Connection, status: int, code: str, message: str) -> None:
        """Answer a client that broke a limit, and close its connection soon."""
        self._closed[code] += 1
        self.wait_for_rest(connection)
        connection.refuse(status, code, message)

    def _wait(self, connection: Connection, what: dict[Connection, _Waiting], since: _Waiting) -> None:
        if connection in self.open:
            self._forget_waiting(connection)
            self._answered.pop(connection, None)
            what[connection] = since

    def _forget_waiting(self, connection: Connection) -> None:
        for waiting in (self._heads, self._bodies, self._answers):
            waiting.pop(connection, None)

    def _counted(self, connection: Connection) -> str | None:
        address = connection.address
        return None if address is None or is_shared(address, self.proxies) else address

    def _least_needed(self) -> Iterator[Connection]:
        """Return the waiting connections, the least likely to be useful first."""
        for waiting in (self._answered, self._heads, self._answers, self._bodies):
            yield from waiting

    def _make_room(self, candidates: Iterator[Connection]) -> bool:
        """Close the first connection that may be closed; the limit may be exceeded briefly."""
        connection = next(candidates, None)
        if connection is None:
            return False
        if _now() - self._since(connection) >= YOUNG_S:
            self._abort(connection, "made_room")
        return True

    def _since(self, connection: Connection) -> float:
        for progress in (self._answers.get(connection), self._bodies.get(connection)):
            if progress:
                return progress.since
        return self._answered.get(connection, self._heads.get(connection, 0.0))

    def _abort(self, connection: Connection, reason: str) -> None:
        self._closed[reason] += 1
        self.remove(connection)
        connection.abort()

    def _sweep(self) -> None:
        """Close slow connections; every second while there are any."""
        now = _now()
        for connection in [held for held, since in self._answered.items() if now - since > LINGER_S]:
            self.remove(connection)
            connection.abort()
        for connection in [held for held, since in self._heads.items() if now - since > HEAD_S]:
            self.refuse(connection, 408, "too_slow", f"the request's head took longer than {HEAD_S:.0f} s")
        for connection, progress in list(self._bodies.items()):
            if not connection.is_held_back() and progress.is_too_slow(connection.body_bytes()):
                self.refuse(connection, 408, "too_slow", "the request's body arrives too slowly")
        for connection, progress in list(self._answers.items()):
            if progress.is_too_slow(connection.unsent_bytes()):
                self._abort(connection, "answer_not_taken")
        for connection in list(self._least_needed())[: max(0, len(self.open) - self.limit)]:
            self._abort(connection, "made_room")
        self._report(now)
        self._is_sweeping = bool(self.open or self._closed)
        if self._is_sweeping:
            asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def _report(self, now: float) -> None:
        """Log the number of closed connections in one line."""
        if self._closed and now - self._reported_at > REPORT_S:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self._closed.items()))
            logger.warning("connections closed by their limits: %s", reasons)
            self._closed.clear()
            self._reported_at = now


def _now() -> float:
    return asyncio.get_running_loop().time()
