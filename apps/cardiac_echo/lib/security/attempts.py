"""Limits on guessing passwords: longer waits after more failures."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from dataclasses import dataclass

from lib.server.errors import refused

FORGOTTEN_S = 900.0
"""Seconds for which a failure counts."""

_LARGEST = 20_000
"""Number of names and addresses that are remembered."""


@dataclass(frozen=True)
class Patience:
    """Number of failures without a wait, and the longest wait after more."""

    free: int
    longest_s: float

    def wait_s(self, failures: int) -> float:
        """Return the wait after this many failures, in seconds.

        Examples
        --------
        >>> patience = Patience(free=5, longest_s=300)
        >>> [patience.wait_s(failures) for failures in (4, 5, 6, 10, 99)]
        [0.0, 1.0, 2.0, 32.0, 300]
        """
        if failures < self.free:
            return 0.0
        return min(self.longest_s, 2.0 ** min(failures - self.free, 30))


ONE_USER_FROM_ONE_ADDRESS = Patience(free=5, longest_s=300)
ONE_USER = Patience(free=20, longest_s=30)
"""Limit per user over all addresses; short, as it keeps the user out as well."""

ONE_ADDRESS = Patience(free=100, longest_s=30)
"""Limit per address, which many users may share behind a proxy."""


class Attempts:
    """Recent failed logins by user, by address, and by both."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def check(self, username: str, address: str) -> None:
        """Refuse an attempt that comes too soon.

        Raises
        ------
        HTTPException
            429, with how long to wait.
        """
        now = time.monotonic()
        wait_s = max(self._wait_s(key, patience, now) for key, patience in _keys(username, address).items())
        if wait_s > 0:
            raise refused(
                429,
                "too_many_attempts",
                f"too many failed logins; try again in {math.ceil(wait_s)} s",
                headers={"Retry-After": str(math.ceil(wait_s))},
            )

    def fail(self, username: str, address: str) -> None:
        """Record a wrong password."""
        now = time.monotonic()
        for key in _keys(username, address):
            count, last = self._failures.pop(key, (0, now))
            self._failures[key] = (1 if now - last > FORGOTTEN_S else count + 1, now)
        while len(self._failures) > _LARGEST:
            self._failures.popitem(last=False)

    def succeed(self, username: str, address: str) -> None:
        """Forget the failures of this user at this address."""
        self._failures.pop(next(iter(_keys(username, address))), None)

    def _wait_s(self, key: tuple[str, str], patience: Patience, now: float) -> float:
        count, last = self._failures.get(key, (0, now))
        return 0.0 if now - last > FORGOTTEN_S else last + patience.wait_s(count) - now


def _keys(username: str, address: str) -> dict[tuple[str, str], Patience]:
    name = username.strip().casefold()
    return {
        (name, address): ONE_USER_FROM_ONE_ADDRESS,
        (name, ""): ONE_USER,
        ("", address): ONE_ADDRESS,
    }
