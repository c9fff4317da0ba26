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
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from cardiolabel.errors import StoreError
from cardiolabel.store.failures import URL_VARIABLE, damaged, translated
from cardiolabel.store.migrations import SCHEMA, migrate
from cardiolabel.store.tables import facts

__all__ = [
    "SCHEMA",
    "URL_VARIABLE",
    "Database",
    "fact",
    "replace_fact",
    "set_fact",
    "sqlite_file",
    "sqlite_url",
]

_EXPECTED_URL = "the database URL is not understood; expected sqlite:///FILE or postgresql://USER@HOST/NAME"
_BUSY_S = 60
_CONNECT_S = 10
_CHECKED_BYTES = 64 * 2**20
"""Largest SQLite file whose pages are checked at every opening, in 0.1 s."""
_ALONE = 2_023_071_907  # any number that nothing else in the database locks
_WRITES = "cardiolabel_writes"


class Database:
    """Transactions on one database; safe to use from several threads and processes.

    Parameters
    ----------
    url : str or URL
        SQLAlchemy's: ``sqlite:///file`` or ``postgresql://user@host/name``.

    Attributes
    ----------
    file : Path or None
        The SQLite file.

    Raises
    ------
    StoreUnavailableError
        Nothing answers there.
    DamagedStoreError
        The SQLite file is none, or parts of it are lost.
    StoreError
        What is there was written by another version.
    """

    def __init__(self, url: str | URL) -> None:
        parsed = _parsed(url)
        self.file = sqlite_file(parsed)
        self.is_sqlite = self.file is not None
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
            self._check_pages()
            self._create_tables()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a transaction that sees one state of the database."""
        with translated(self.file), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Yield a transaction that sees one state of the database throughout."""
        with translated(self.file), self._engine.connect() as connection:
            if not self.is_sqlite:  # whose reading transactions do so anyway
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a transaction that is on disk once the block ends, or never happened.

        On SQLite one transaction writes at a time; on PostgreSQL lock the rows that must not change.
        """
        with translated(self.file), self._one_writer, self._engine.connect() as connection:
            with connection.execution_options(**{_WRITES: True}).begin():
                yield connection

    def alone(self, connection: Connection) -> None:
        """Wait until no other transaction that called this runs, up to the end of this one.

        Call it before locking several images' rows, or two transactions could wait for each other. On SQLite
        one transaction writes at a time anyway.
        """
        if not self.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ALONE})

    def compact(self) -> None:
        """Rewrite the files, so that nothing of deleted rows is left in them."""
        with translated(self.file), self._one_writer:
            if not self.is_sqlite:
                with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    connection.exec_driver_sql("VACUUM")
                return
            raw = self._engine.raw_connection()  # outside of any transaction
            try:
                cursor = raw.cursor()
                cursor.execute("VACUUM")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                raw.close()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _check_pages(self) -> None:
        """Check the pages of a SQLite file, as damage otherwise shows only when a damaged page is read."""
        if self.file is None or not self.file.is_file() or self.file.stat().st_size > _CHECKED_BYTES:
            return
        with self.reading() as connection:
            problem = str(connection.execute(text("PRAGMA quick_check(1)")).scalar())
        if problem != "ok":
            raise damaged(self.file, " ".join(problem.split()))

    def _create_tables(self) -> None:
        with self.writing() as connection:
            self.alone(connection)
            schema = migrate(connection)
            if schema != SCHEMA:
                raise StoreError(
                    f"the records are of schema {schema}, this version reads {SCHEMA}; use the version of"
                    " cardiolabel that wrote them"
                )


def fact(connection: Connection, name: str) -> str | None:
    """Return one of the store's facts; None where it was never set."""
    return connection.execute(select(facts.c.value).where(facts.c.name == name)).scalar()


def set_fact(connection: Connection, name: str, value: str) -> None:
    """Set a fact that was not set before."""
    connection.execute(facts.insert().values(name=name, value=value))


def replace_fact(connection: Connection, name: str, value: str) -> None:
    """Set a fact, whether it was set before or not."""
    connection.execute(facts.delete().where(facts.c.name == name))
    set_fact(connection, name, value)


def sqlite_url(path: Path) -> URL:
    """Return the URL of a SQLite file as an object; SQLAlchemy 2.0 cannot parse text with a ``?``."""
    return URL.create("sqlite", database=str(path))


def sqlite_file(url: str | URL) -> Path | None:
    """Return the SQLite file of a URL; None for another database."""
    parsed = _parsed(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


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
    """Switch to write-ahead logging; SQLite does not wait for other processes that switch at that moment."""
    end = time.monotonic() + _BUSY_S
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)
