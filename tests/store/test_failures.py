"""What a database or a disk answers is told apart: full, only reading, not there now, damaged."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from cardiolabel.errors import (
    DamagedStoreError,
    DiskFullError,
    NotWritableError,
    StoreError,
    StoreUnavailableError,
)
from cardiolabel.records.layout import FINAL
from cardiolabel.store.failures import file_failure
from cardiolabel.store.store import Store
from cardiolabel.store.writer import Save

from .conftest import Postgres
from .folders import Folder, image_ids, save, text_of, texts

ONE, OTHER = image_ids(2)


def acts(store: Store) -> list[Callable[[], object]]:
    return [
        lambda: save(store, ONE, "lost", "ann"),
        lambda: store.writer.remove_label(ONE, FINAL),
        lambda: store.take(OTHER, "ann"),
        lambda: store.put_score("p0000", "state", {}),
        lambda: store.update_label_info(ONE, FINAL, {"a": 1}),
    ]


def test_a_database_that_is_gone_is_not_available_and_comes_back(postgres: Postgres, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "studies", url=postgres.new_url())
    folder.add(image_ids(8))
    store = folder.open()
    save(store, ONE, "first", "ann")
    postgres.stop()
    try:
        for act in (*acts(store), store.counted, folder.open):
            started = time.monotonic()
            with pytest.raises(StoreUnavailableError, match="does not answer"):
                act()
            assert time.monotonic() - started < 5
    finally:
        postgres.start()
    assert texts(store, ONE) == ["first"] and save(store, ONE, "second", "ann").number == 2
    folder.close()


def test_a_database_that_only_reads(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "first", "ann")
    statement = "PRAGMA query_only = ON" if folder.url is None else "SET default_transaction_read_only = on"
    store.database._engine.dispose()

    def only_read(connection: object, _: object) -> None:
        connection.execute(statement)  # type: ignore[attr-defined]
        if folder.url is not None:
            connection.commit()  # type: ignore[attr-defined]

    event.listen(store.database._engine, "connect", only_read)
    for act in acts(store):
        with pytest.raises(NotWritableError, match="nothing was stored"):
            act()
    assert store.counted() == (8, {"final": 1}) and texts(store, ONE) == ["first"]
    assert folder.hidden() == []


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        *((number, NotWritableError) for number in (errno.EROFS, errno.EACCES, errno.EPERM)),
        *((number, DiskFullError) for number in (errno.ENOSPC, errno.EDQUOT)),
        (errno.EIO, StoreError),
    ],
)
def test_a_disk_that_refuses(plain_folder: Folder, number: int, kind: type[StoreError]) -> None:
    store = plain_folder.open()

    def refuse(path: Path) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(StoreError) as caught:
        store.writer.save(ONE, FINAL, refuse, Save("ann"))
    assert type(caught.value) is kind is type(file_failure("x", OSError(number, "y")))


@pytest.fixture
def read_only(disk_path: Path) -> Iterator[Callable[[], None]]:
    """Makes the folder ``disk_path / "studies"`` one that can only be read, for as long as the test lasts."""
    studies = disk_path / "studies"
    mounted: list[Path] = []

    def mount() -> None:
        for options in (["--bind"], ["-o", "remount,ro,bind"]):
            command = ["mount", *options, str(studies), str(studies)]
            ended = shutil.which("mount") and subprocess.run(command, capture_output=True, check=False)
            if not ended or ended.returncode:
                pytest.skip("mounting a folder for reading only is not permitted here")
            mounted.append(studies)

    yield mount
    if mounted:
        subprocess.run(["umount", "--lazy", studies], check=True)


def test_a_disk_that_is_mounted_for_reading_only(disk_path: Path, read_only: Callable[[], None]) -> None:
    folder = Folder(disk_path / "studies")
    folder.add(image_ids(8))
    store = folder.open()
    save(store, ONE, "first", "ann")
    read_only()
    with pytest.raises(NotWritableError):
        save(store, ONE, "lost", "ann")
    with pytest.raises(NotWritableError, match="studies folder must be writable"):
        folder.open()
    assert store.counted() == (8, {"final": 1}) and text_of(folder.label(ONE)) == "first"


def test_damage_that_shows_later_is_named(plain_folder: Folder) -> None:
    store = plain_folder.open()
    save(store, ONE, "first", "ann")
    file = plain_folder.path / ".cardiolabel" / "store.sqlite"
    plain_folder.close()
    store = plain_folder.open()
    content = file.read_bytes()
    file.write_bytes(content[:8192] + b"\xa5" * (len(content) - 8192))
    store.database._engine.dispose()
    with pytest.raises(DamagedStoreError, match=r"store\.sqlite.*cardiolabel store rebuild"):
        texts(store, ONE)
