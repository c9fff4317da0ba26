"""Rate limits of log lines, so that a flood of events does not fill the disk."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Hashable

__all__ = ["Rates"]

WINDOW_S = 60.0
_MOST_KEYS = 200


class Rates:
    """Counts occurrences by key; safe between threads, and bounded whatever the number of keys.

    Parameters
    ----------
    window_s : float
        How long a count lasts, in seconds.
    """

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s, self._begun_s = window_s, time.monotonic()
        self._seen: Counter[Hashable] = Counter()
        self._over: list[tuple[Hashable, int]] = []
        self._limits: dict[Hashable, int] = {}
        self._lock = threading.Lock()

    def allows(self, key: Hashable, limit: int) -> bool:
        """Count an occurrence, and return whether at most ``limit`` of its key fell into this window.

        Where there are too many keys, later ones are counted together under the key None.
        """
        with self._lock:
            self._roll()
            if key not in self._seen and len(self._seen) >= _MOST_KEYS:
                key = None
            self._seen[key] += 1
            self._limits[key] = limit
            return self._seen[key] <= limit

    def take_suppressed(self, *, early: bool = False) -> list[tuple[Hashable, int]]:
        """Return the keys of ended windows with their suppressed counts; each is returned once.

        Parameters
        ----------
        early : bool
            End the window that is running.
        """
        with self._lock:
            self._roll(now=early)
            suppressed, self._over = self._over, []
            return suppressed

    def _roll(self, *, now: bool = False) -> None:
        now_s = time.monotonic()
        if now_s - self._begun_s < self._window_s and not now:
            return
        over = [(key, count - self._limits[key]) for key, count in self._seen.items()]
        self._over = [*self._over, *((key, count) for key, count in over if count > 0)][-_MOST_KEYS:]
        self._seen.clear()
        self._limits.clear()
        self._begun_s = now_s
