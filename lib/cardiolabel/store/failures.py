"""Errors of databases and disks, translated into this package's errors."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError, InterfaceError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from cardiolabel.errors import (
    DamagedStoreError,
    DiskFullError,
    NotWritableError,
    StoreError,
    StoreUnavailableError,
)

URL_VARIABLE = "CARDIOLABEL_DATABASE_URL"
"""Environment variable with the URL of the database; read by the server and the command line."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_WAY_BACK = (
    "stop what uses it, then put a backup back (cardiolabel store restore) or make the records anew from the"
    " archive: cardiolabel store rebuild STUDIES"
)
_UNAVAILABLE_STATES = ("08", "57P", "53300", "55P03", "40P01", "40001")
"""PostgreSQL's SQLSTATE codes for failed connections, a starting or ending server, and locks."""
_UNWRITTEN = frozenset({f"SQLITE_IOERR_{act}" for act in ("WRITE", "FSYNC", "DIR_FSYNC", "TRUNCATE")})
"""SQLite's message where a disk became read-only while files on it were open."""
_READ_ONLY_STATE = "25006"


@contextmanager
def translated(file: Path | None) -> Iterator[None]:
    """Translate the drivers' errors into this package's; ``file`` is SQLite's, None for another database."""
    try:
        yield
    except DBAPIError as error:
        raise _translation(error, file) from error
    except PoolTimeoutError as error:
        raise StoreUnavailableError("the database is too busy to answer; nothing was stored") from error
    except SQLAlchemyError as error:
        raise StoreError(f"the records cannot be read or written ({type(error).__name__})") from error


def damaged(file: Path, reason: str) -> DamagedStoreError:
    """Return the error of a damaged SQLite file."""
    return DamagedStoreError(f"{file}: the records are damaged ({reason}); {_WAY_BACK}")


def missing(where: str, archive: Path) -> DamagedStoreError:
    """Return the error of an empty database beside an archive with versions."""
    return DamagedStoreError(
        f"{where}, though {archive} has the versions of labels that were recorded; if they are recorded in"
        f" another database, name it ({URL_VARIABLE}), else {_WAY_BACK}"
    )


def is_read_only(error: OSError) -> bool:
    """Return whether a write failed because the place is read-only."""
    return error.errno in _READ_ONLY


def file_failure(what: str, error: OSError) -> StoreError:
    """Return the error of a file that could not be written; ``what`` names the action that failed."""
    if error.errno in _NO_ROOM:
        return DiskFullError("the disk is full: nothing was stored; make room and save again")
    if is_read_only(error):
        return NotWritableError(
            f"{what} ({error.strerror}); the studies folder must be writable for the server's user"
        )
    return StoreError(f"{what} ({error.strerror})")


def _translation(error: DBAPIError, file: Path | None) -> StoreError:
    reason = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error).__name__
    if "is full" in reason or "No space left" in reason:
        return DiskFullError("the disk is full: nothing was stored; make room and save again")
    if file is not None:
        return _of_sqlite(str(getattr(error.orig, "sqlite_errorname", "")), reason, file)
    state = getattr(error.orig, "sqlstate", None)
    lost = error.connection_invalidated or isinstance(error, InterfaceError) or state is None
    if lost or str(state).startswith(_UNAVAILABLE_STATES):
        return StoreUnavailableError(f"the database does not answer; nothing was stored ({reason})")
    if state == _READ_ONLY_STATE:
        return NotWritableError(f"the database only reads; nothing was stored ({reason})")
    return StoreError(f"the records cannot be read or written ({reason})")


def _of_sqlite(name: str, reason: str, file: Path) -> StoreError:
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return damaged(file, reason)
    if name.startswith("SQLITE_READONLY") or name in _UNWRITTEN:
        return NotWritableError(f"{file}: cannot be written, nothing was stored ({reason})")
    if name.startswith("SQLITE_BUSY"):
        return StoreUnavailableError(f"{file}: another program keeps it locked; nothing was stored")
    return StoreError(f"{file}: the records cannot be read or written ({reason})")
