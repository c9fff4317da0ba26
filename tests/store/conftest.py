"""Folders on both databases; PostgreSQL is started for the tests where its binaries are found."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text

from .folders import Folder, image_ids
from .processes import Workers

collect_ignore = ["worker.py"]  # a script, which finds its neighbours in another way

REARMED = pytest.mark.filterwarnings("ignore:Callback with id .* already exists:RuntimeWarning")
"""watchdog says so where a folder comes as the watch is set up anew; in tests that would end the watch."""

MEMORY = Path("/dev/shm")  # noqa: S108 - folders of random names in it
BINARIES = Path("/usr/lib/postgresql")
"""Where Debian puts PostgreSQL, one folder per version."""


class Postgres:
    """A private server in a folder of its own, reached by a socket in it; nothing is kept."""

    def __init__(self, folder: Path, binaries: Path, user: str | None) -> None:
        self._folder, self._binaries, self._user = folder, binaries, user

    def start(self) -> None:
        """Start, or start again."""
        options = f"-F -c listen_addresses= -c max_connections=200 -k {self._folder}"
        log = self._folder / "log"
        self._run("pg_ctl", "-D", self._data, "-l", str(log), "-o", options, "-w", "start")

    def stop(self) -> None:
        """Stop as a crash would."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def create(self) -> None:
        """Make the server's files."""
        self._run("initdb", "-D", self._data, "-U", "test", "-A", "trust", "-E", "UTF8", "--no-sync")

    def new_url(self) -> str:
        """URL of an empty schema; one database for all, as making another takes half a second."""
        name, url = f"test_{uuid4().hex}", f"postgresql://test@/postgres?host={self._folder}"
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1))
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {name}"))
        engine.dispose()
        return f"{url}&options=-csearch_path%3D{name}"

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._binaries / program, *arguments],
            user=self._user,
            cwd=self._folder,
            check=True,
            timeout=120,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server that runs for all tests."""
    pytest.importorskip("psycopg", reason="needs cardiolabel[postgresql]")
    result = sorted(path.parent for path in BINARIES.glob("*/bin/initdb"))
    if not result:
        pytest.skip(f"needs PostgreSQL's binaries under {BINARIES}")
    user = None
    if os.geteuid() == 0:
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = next((name for name in ("postgres", "nobody") if name in names), None)
        if user is None:
            pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
    in_memory = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 2**30
    folder = Path(tempfile.mkdtemp(prefix="cardiolabel-pg-", dir=MEMORY if in_memory else None))
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    server = Postgres(folder, result[-1], user)
    try:
        try:
            server.create()
            server.start()
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"PostgreSQL does not start here ({error})")
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """Other processes that work on a folder."""
    made = Workers(tmp_path_factory.mktemp("w"))
    yield made
    made.close()


@pytest.fixture
def disk_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is on a disk, as far as the machine's temporary folder is."""
    return tmp_path_factory.mktemp("disk")


@pytest.fixture
def tmp_path(disk_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is such a place: most of a save is waiting for the disk."""
    if not os.access(MEMORY, os.W_OK):
        yield disk_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="cardiolabel-") as name:
        yield Path(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    """An empty database of each kind; None for the SQLite file within the folder."""
    if request.param == "sqlite":
        return None
    return str(request.getfixturevalue("postgres").new_url())


@pytest.fixture
def folder(tmp_path: Path, url: str | None) -> Iterator[Folder]:
    """Two patients' eight images, on both databases."""
    made = Folder(tmp_path / "studies", url=url)
    made.add(image_ids(8))
    yield made
    made.close()


@pytest.fixture
def plain_folder(tmp_path: Path) -> Iterator[Folder]:
    """Two patients' eight images on SQLite alone, for what the database has no part in."""
    made = Folder(tmp_path / "studies")
    made.add(image_ids(8))
    yield made
    made.close()
