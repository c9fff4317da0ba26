"""Leases last as long as they were given for, also where the machine's clock is set to another time.

A lease is kept in seconds since 1970, for other processes and after a restart. The time since the machine
started runs on whatever the clock is set to; both together tell a clock that was set from time that passed.
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
"""A clock that is corrected by less matters to no lease."""


class LeaseClock:
    """The time by which leases begin and end; safe between threads and processes of one machine.

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
        """Return the seconds since 1970, once every lease has been moved with the clock.

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
        """Move leases by as much as the clock was set since this machine's processes last noted it."""
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
    """By how much the clock was set; 0 for too little, None where another machine or start noted it."""
    noted_boot, _, noted_offset = (noted or "").partition(" ")
    if noted_boot != boot:
        return None
    by_s = offset_s - float(noted_offset)
    return by_s if abs(by_s) > _SET_S else 0.0


def _offset_s() -> float:
    """Return what the clock says less the time since the machine started, sleep included."""
    return time.time() - time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _boot_id() -> str:
    """Return what tells this start of this machine from all others; nothing where the system does not say."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
