"""The clock of leases, so that they last as long as given even if the machine's clock is set.

A lease is stored in seconds since 1970, for other processes and after a restart. The time since the machine
started does not change when the clock is set; together they tell a clock change from elapsed time.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from cardiolabel.store import leases
from cardiolabel.store.database import Database, fact, replace_fact

_FACT = "clock"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SET_S = 120.0
"""Smallest clock change in seconds that moves leases."""


class LeaseClock:
    """The clock of leases; safe between threads and processes of one machine.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._boot = _boot_id()
        self._lock = threading.Lock()
        self._offset_s = _offset_s()
        if self._boot:
            self._follow(self._offset_s)

    def now(self) -> float:
        """Return the seconds since 1970, after moving all leases with the clock.

        Raises
        ------
        StoreError
            Leases cannot be read or moved.
        """
        with self._lock:
            offset_s = _offset_s()
            if self._boot and abs(offset_s - self._offset_s) > _SET_S:
                self._follow(offset_s)
                self._offset_s = offset_s
        now = time.time()
        with self._database.reading() as connection:
            is_behind = leases.any_of_the_future(connection, now=now)
        if is_behind:
            with self._database.writing() as connection:
                leases.settle(connection, now=now)
        return now

    def _follow(self, offset_s: float) -> None:
        """Move leases by the clock change since this machine's processes last noted it."""
        with self._database.reading() as connection:
            noted = fact(connection, _FACT)
        if _by_s(noted, self._boot, offset_s) == 0.0:
            return
        with self._database.writing() as connection:
            self._database.alone(connection)
            by_s = _by_s(fact(connection, _FACT), self._boot, offset_s)
            if by_s == 0.0:
                return  # another process was quicker
            if by_s is not None:
                leases.move(connection, by_s)
            replace_fact(connection, _FACT, f"{self._boot} {offset_s!r}")


def _by_s(noted: str | None, boot: str, offset_s: float) -> float | None:
    """Return the clock change in seconds; 0 for a small one, None where another machine or start noted it."""
    noted_boot, _, noted_offset = (noted or "").partition(" ")
    if noted_boot != boot:
        return None
    by_s = offset_s - float(noted_offset)
    return by_s if abs(by_s) > _SET_S else 0.0


def _offset_s() -> float:
    """Return the clock's time minus the time since the machine started, sleep included."""
    return time.time() - time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _boot_id() -> str:
    """Return an identifier of this start of this machine; empty where the system has none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
