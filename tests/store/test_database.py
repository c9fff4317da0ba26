"""The database itself: which URLs, which failures, and who waits for whom."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from cardiolabel.errors import DiskFullError, StoreError
from cardiolabel.store.database import Database, fact, set_fact, sqlite_url
from cardiolabel.store.store import Store

from .conftest import Postgres
from .folders import Folder, image_ids, save


@pytest.fixture
def database(tmp_path: Path, url: str | None) -> Database:
    return Database(url or sqlite_url(tmp_path / "x.sqlite"))


def test_what_is_written_is_there_and_what_failed_is_not(database: Database) -> None:
    with database.writing() as connection:
        set_fact(connection, "kept", "1")
    with pytest.raises(ZeroDivisionError), database.writing() as connection:
        set_fact(connection, "lost", "1")
        raise ZeroDivisionError
    with database.reading() as connection:
        assert (fact(connection, "kept"), fact(connection, "lost")) == ("1", None)
    database.close()


def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    with database.writing() as writing:
        set_fact(writing, "x", "1")
        with database.reading() as reading:
            assert fact(reading, "x") is None
    database.close()


def test_alone_is_alone(database: Database) -> None:
    order = []

    def other() -> None:
        with database.writing() as connection:
            database.alone(connection)
            order.append("other")

    with database.writing() as connection:
        database.alone(connection)
        database.alone(connection)  # its own it need not wait for
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]
    database.close()


def test_more_threads_than_connections(database: Database) -> None:
    failures = []

    def work(index: int) -> None:
        try:
            with database.writing() as connection:
                set_fact(connection, f"t{index}", "1")
            with database.reading() as connection:
                assert fact(connection, f"t{index}") == "1"
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    database.close()


def test_records_of_another_version_are_refused(database: Database, tmp_path: Path, url: str | None) -> None:
    with database.writing() as connection:
        connection.execute(text("UPDATE facts SET value = '99' WHERE name = 'schema'"))
    database.close()
    with pytest.raises(StoreError, match="schema 99"):
        Database(url or sqlite_url(tmp_path / "x.sqlite"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "/srv/x.sqlite",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://u@h/n",
        "oracle://u@h/n",
        "http://h/n",
        "postgresql://h:port/n",
        "sqlite:///",
    ],
)
def test_a_url_that_is_none_of_a_database(url: str) -> None:
    with pytest.raises(StoreError, match=r"expected sqlite:///FILE or postgresql://USER@HOST/NAME"):
        Database(url)


def test_an_unreachable_database_is_reported_without_its_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="needs cardiolabel[postgresql]")
    start = time.monotonic()
    with pytest.raises(StoreError) as caught:
        Database(f"postgresql://me:s3cret@/x?host={tmp_path}")
    assert "s3cret" not in str(caught.value) and time.monotonic() - start < 15


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="needs cardiolabel[postgresql]")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / ".s.PGSQL.5432"))
        listening.listen()
        start = time.monotonic()
        with pytest.raises(StoreError):
            Database(f"postgresql://me@/x?host={tmp_path}&connect_timeout=2")
        assert time.monotonic() - start < 15


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"install cardiolabel\[postgresql\]"):
        Database("postgres://u:s3cret@h/n")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").write_bytes(b"something else entirely, and long enough to be looked at" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Database(sqlite_url(tmp_path / "x.sqlite"))
    (tmp_path / "folder.sqlite").mkdir()
    with pytest.raises(StoreError, match="unable to open"):
        Database(sqlite_url(tmp_path / "folder.sqlite"))


def test_no_room_is_told_apart(postgres: Postgres) -> None:
    database = Database(postgres.new_url())
    full = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file \"x\": No space left on device'; END $$"
    with pytest.raises(DiskFullError), database.writing() as connection:
        connection.execute(text(full))
    with pytest.raises(StoreError, match="nowhere") as caught, database.writing() as connection:
        connection.execute(text("SELECT * FROM nowhere"))
    assert not isinstance(caught.value, DiskFullError)
    database.close()


# The folder's database


def test_two_folders_do_not_share_a_database(folder: Folder, tmp_path: Path) -> None:
    save(folder.open(), image_ids(1)[0], "mine")
    url = folder.url or f"sqlite:///{folder.path}/.cardiolabel/store.sqlite"
    other = Folder(tmp_path / "other", url=url)
    other.add(image_ids(8))
    with pytest.raises(StoreError, match="belongs to another studies folder"):
        other.open()
    assert folder.open().counted() == (8, {"final": 1})


def test_a_folder_that_moved_keeps_its_database(plain_folder: Folder, tmp_path: Path) -> None:
    save(plain_folder.open(), image_ids(1)[0], "mine")
    plain_folder.close()
    moved = Folder(plain_folder.path.rename(tmp_path / "moved"))
    assert moved.open().counted() == (8, {"final": 1})
    moved.close()


@pytest.mark.parametrize("content", [None, b"", b"\xff\x00torn", b"not an id\n"])
def test_a_folder_whose_id_is_lost_keeps_its_database(plain_folder: Folder, content: bytes | None) -> None:
    save(plain_folder.open(), image_ids(1)[0], "mine")
    plain_folder.close()
    path = plain_folder.path / ".cardiolabel" / "id"
    before = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert plain_folder.open().counted() == (8, {"final": 1}) and path.read_bytes() == before


@pytest.mark.parametrize("what", ["folder", "home", "labels"])
def test_a_file_where_a_folder_must_be(tmp_path: Path, what: str) -> None:
    path = tmp_path / "studies"
    {"folder": path, "home": path / ".cardiolabel", "labels": path / "labels"}[what].parent.mkdir(
        exist_ok=True
    )
    {"folder": path, "home": path / ".cardiolabel", "labels": path / "labels"}[what].write_bytes(b"")
    if what == "folder":
        with pytest.raises(StoreError, match="studies folder must be writable"):
            Store(path, records=dict)
        return
    folder = Folder(path)
    folder.add(image_ids(8))
    if what == "home":
        with pytest.raises(StoreError, match="studies folder must be writable"):
            folder.open(watch=True)
        return
    store = folder.open(watch=True)
    with pytest.raises(StoreError, match="the label was not stored"):
        save(store, image_ids(1)[0], "mine")
    assert store.counted() == (8, {})
    folder.close()


READ_ONLY = """
import os, sys
from pathlib import Path
from cardiolabel.errors import StoreError
from folders import Folder, image_ids, save
folder = Folder(Path(sys.argv[2]))
folder.add(image_ids(1))
save(folder.open(watch=True), image_ids(1)[0], "so that all is imported that root alone can read")
folder.close()
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
folder = Folder(Path(sys.argv[1]))
try:
    store = folder.open(watch=True)
    save(store, "p0000_2CH_ED", "mine")
except StoreError as error:
    print("StoreError:", error)
"""


@pytest.mark.parametrize("opened_before", [True, False])
def test_a_folder_that_is_not_writable(tmp_path: Path, opened_before: bool) -> None:
    tmp_path.chmod(0o755)
    folder = Folder(tmp_path / "studies")
    folder.add(image_ids(8))
    if opened_before:
        save(folder.open(), image_ids(1)[0], "mine")
        folder.close()
    paths = [folder.path, *folder.path.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    here = Path(__file__)
    path = os.pathsep.join((str(here.parents[2] / "lib"), str(here.parent), os.environ.get("PYTHONPATH", "")))
    command = [sys.executable, "-c", READ_ONLY, folder.path, tmp_path / "warm-up"]
    ended = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, cwd="/", capture_output=True, text=True, check=False
    )
    for each in paths:
        each.chmod(0o755 if each.is_dir() else 0o644)
    assert ended.stdout.startswith("StoreError:"), ended.stderr
    assert folder.open().counted() == (8, {"final": 1} if opened_before else {})
    folder.close()
