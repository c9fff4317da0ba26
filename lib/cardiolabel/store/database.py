"""One SQL database: SQLite in WAL mode, or PostgreSQL."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from cardiolabel.errors import DiskFullError, StoreError
from cardiolabel.store.tables import facts, metadata

SCHEMA = "1"
URL_VARIABLE = "CARDIOLABEL_DATABASE_URL"
"""Environment variable with the URL of a database elsewhere; read by the server and the command line."""

_EXPECTED_URL = "the database URL is not understood; expected sqlite:///FILE or postgresql://USER@HOST/NAME"
_BUSY_S = 60
_CONNECT_S = 10
_ALONE = 2_023_071_907  # any number that nothing else in the database locks
_WRITES = "cardiolabel_writes"


class Database:
    """Transactions on one database; safe to use from several threads and processes.

    Parameters
    ----------
    url : str or URL
        SQLAlchemy's: ``sqlite:///file`` or ``postgresql://user@host/name``.

    Raises
    ------
    StoreError
        Nothing answers there, or what is there was written by another version.
    """

    def __init__(self, url: str | URL) -> None:
        parsed = _parsed(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        # Threads of one process queue here instead of polling SQLite's file lock.
        self._one_writer = threading.Lock() if self.is_sqlite else nullcontext()
        try:
            self._engine = create_engine(parsed, pool_pre_ping=not self.is_sqlite, pool_size=16)
        except (ImportError, NoSuchModuleError) as error:
            raise StoreError(
                f"{parsed.render_as_string()}: no driver for it ({error}); for PostgreSQL install"
                " cardiolabel[postgresql]"
            ) from error
        if self.is_sqlite:
            _prepare_sqlite(self._engine)
        try:
            self._create_tables()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database."""
        with _translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is on disk once the block ends, or never happened.

        On SQLite one transaction writes at a time; on PostgreSQL lock the rows that must hold still.
        """
        with _translated(), self._one_writer, self._engine.connect() as connection:
            with connection.execution_options(**{_WRITES: True}).begin():
                yield connection

    def alone(self, connection: Connection) -> None:
        """Wait until no other transaction that called this runs, to the end of this one.

        Whoever locks several images' rows calls this first, or two of them could wait for each other. On
        SQLite one transaction writes at a time anyway.
        """
        if not self.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ALONE})

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _create_tables(self) -> None:
        with self.writing() as connection:
            self.alone(connection)
            metadata.create_all(connection)
            found = fact(connection, "schema")
            if found is None:
                set_fact(connection, "schema", SCHEMA)
            elif found != SCHEMA:
                raise StoreError(
                    f"the records are of schema {found}, this version reads {SCHEMA}; use the version of"
                    " cardiolabel that wrote them"
                )


def fact(connection: Connection, name: str) -> str | None:
    """One of the store's facts; None where it was never set."""
    return connection.execute(select(facts.c.value).where(facts.c.name == name)).scalar()


def set_fact(connection: Connection, name: str, value: str) -> None:
    """Set a fact that was not set before."""
    connection.execute(facts.insert().values(name=name, value=value))


def sqlite_url(path: Path) -> URL:
    """URL of a SQLite file; not as text, which SQLAlchemy 2.0 cannot read back where it holds a ``?``."""
    return URL.create("sqlite", database=str(path))


def _parsed(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise StoreError(_EXPECTED_URL) from error
    if parsed.get_backend_name() not in {"sqlite", "postgresql", "postgres"}:
        raise StoreError(_EXPECTED_URL)
    if parsed.get_backend_name() == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise StoreError(_EXPECTED_URL)
    if parsed.drivername in {"postgres", "postgresql"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "postgresql+psycopg" and "connect_timeout" not in parsed.query:
        parsed = parsed.update_query_dict({"connect_timeout": str(_CONNECT_S)})
    return parsed


def _prepare_sqlite(engine: Any) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin below, where they are meant to
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_S * 1000}")
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later could find that another one wrote in between.
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _use_wal(connection: Any) -> None:
    """Keep changes in a log beside the file; SQLite does not wait for others that begin so at that moment."""
    end = time.monotonic() + _BUSY_S
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the drivers' errors into this package's."""
    try:
        yield
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0] if error.orig else type(error).__name__
        if "is full" in reason or "No space left" in reason:
            raise DiskFullError("the disk is full: nothing was stored; make room and save again") from error
        raise StoreError(f"the records cannot be read or written ({reason})") from error
    except SQLAlchemyError as error:
        raise StoreError(f"the records cannot be read or written ({type(error).__name__})") from error
