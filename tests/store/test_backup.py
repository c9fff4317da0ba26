"""A studies folder in one file and back, on both databases."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cardiolabel.errors import DatasetError, StoreError
from cardiolabel.records.layout import FINAL
from cardiolabel.store.backup import Content, back_up, restore
from cardiolabel.store.inspection import inspect_store
from cardiolabel.store.label_files import LabelFiles

from .conftest import Postgres
from .folders import Folder, image_ids, save, text_of, texts
from .test_rebuild import ONE, OTHER, fill, state


def backed_up(folder: Folder, target: Path) -> Content:
    return back_up(folder.path, target, folder.open().database)


def restored(source: Path, dest: Path, *, url: str | None = None) -> Folder:
    restore(source, dest, url=url)
    return Folder(dest, url=url)


@pytest.mark.parametrize("into", ["sqlite", "postgresql"])
def test_everything_comes_back_in_either_database(
    folder: Folder, tmp_path: Path, into: str, postgres: Postgres
) -> None:
    fill(folder)
    folder.open().take(OTHER, "ann")
    before, leases = state(folder.open()), folder.open().leases()
    backed_up(folder, tmp_path / "backup.tar")
    url = postgres.new_url() if into == "postgresql" else None
    copy = restored(tmp_path / "backup.tar", tmp_path / "copy", url=url)
    store = copy.open()
    assert state(store) == before and store.leases() == leases
    assert texts(store, ONE) == ["first", "beside", "third", "first"]
    assert copy.visible() == folder.visible()
    assert inspect_store(store.database, LabelFiles(copy.path)).problems == ()
    copy.close()


def test_a_backup_beside_saves_is_of_one_moment(folder: Folder, tmp_path: Path) -> None:
    store = folder.open()
    ended = threading.Event()
    acknowledged: list[int] = []

    def go_on() -> None:
        while not ended.is_set():
            number = len(acknowledged) + 1
            acknowledged.append(save(store, ONE, f"text {number}", "ann", info={"text": number}).number)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        while len(acknowledged) < 3:
            time.sleep(0.01)
        least = len(acknowledged)
        backed_up(folder, tmp_path / "backup.tar")
        most = len(acknowledged) + 1
    finally:
        ended.set()
        thread.join()
    copy = restored(tmp_path / "backup.tar", tmp_path / "copy")
    store = copy.open()
    result = texts(store, ONE)
    assert least <= len(result) <= most
    assert result == [f"text {number}" for number in range(1, len(result) + 1)]
    assert text_of(copy.label(ONE)) == result[-1]
    assert all(version.author == "ann" for version in store.history(ONE, FINAL))
    copy.close()


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9, 0.999])
def test_a_damaged_backup_is_refused_whole(plain_folder: Folder, tmp_path: Path, at: float) -> None:
    fill(plain_folder)
    target = tmp_path / "backup.tar"
    backed_up(plain_folder, target)
    whole = target.read_bytes()
    content = whole.rstrip(b"\0")
    place = int(len(content) * at)
    for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :]):
        target.write_bytes(damaged)
        try:
            restore(target, tmp_path / "copy")
        except DatasetError as error:
            assert "no whole backup" in str(error)
            assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.tar", "studies"]
            continue
        # What was hit means nothing, as the padding between two files.
        copy = Folder(tmp_path / "copy")
        assert state(copy.open()) == state(plain_folder.open())
        copy.close()
        assert len(damaged) == len(whole), "cut off, and yet restored"
        shutil.rmtree(tmp_path / "copy")


def test_places_that_hold_something_stay_as_they_are(folder: Folder, tmp_path: Path) -> None:
    target = tmp_path / "backup.tar"
    backed_up(folder, target)
    with pytest.raises(DatasetError, match="is there already"):
        backed_up(folder, target)
    with pytest.raises(DatasetError, match="lies within"):
        backed_up(folder, folder.path / "backup.tar")
    with pytest.raises(DatasetError, match="holds something already"):
        restore(target, folder.path)
    (tmp_path / "empty").mkdir()
    assert restored(target, tmp_path / "empty").open().counted() == (8, {})


def test_a_database_with_records_is_not_overwritten(postgres: Postgres, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "studies", url=postgres.new_url())
    folder.add(image_ids(8))
    backed_up(folder, tmp_path / "backup.tar")
    with pytest.raises(StoreError, match="has records already"):
        restore(tmp_path / "backup.tar", tmp_path / "copy", url=folder.url)
    assert not (tmp_path / "copy").exists()
    folder.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from cardiolabel.store import backup
from folders import Folder
what, studies, file, dest = sys.argv[1:]
def die(done, total):
    if done * 2 >= total:
        os.kill(os.getpid(), signal.SIGKILL)
if what == "backup":
    backup.back_up(Path(studies), Path(file), Folder(Path(studies)).open().database, progress=die)
else:
    backup.restore(Path(file), Path(dest), progress=die)
"""


@pytest.mark.parametrize("what", ["backup", "restore"])
def test_killed_in_the_middle_leaves_no_half(plain_folder: Folder, tmp_path: Path, what: str) -> None:
    fill(plain_folder)
    target, dest = tmp_path / "backup.tar", tmp_path / "copy"
    if what == "restore":
        backed_up(plain_folder, target)
    before = state(plain_folder.open())
    plain_folder.close()
    here = Path(__file__)
    path = os.pathsep.join((str(here.parents[2] / "lib"), str(here.parent)))
    command = [sys.executable, "-c", KILLED, what, str(plain_folder.path), str(target), str(dest)]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert target.exists() == (what == "restore") and not dest.exists()
    assert state(plain_folder.open()) == before
    if what == "backup":
        backed_up(plain_folder, target)
    copy = restored(target, dest)
    assert state(copy.open()) == before
    copy.close()


def test_what_is_wrong_with_an_archive_is_named(plain_folder: Folder) -> None:
    fill(plain_folder)
    store, files = plain_folder.open(), LabelFiles(plain_folder.path)
    assert inspect_store(store.database, files).problems == ()
    paths = [files.of_version(version) for version in store.history(ONE, FINAL)]
    content = paths[0].read_bytes()
    paths[0].write_bytes(content[:-20] + bytes(20))
    paths[1].write_bytes(content[:-1])
    paths[2].unlink()
    problems = dict(inspect_store(store.database, files).problems)
    assert "damaged" in problems[f"final/{ONE}, version 1"]
    assert "bytes" in problems[f"final/{ONE}, version 2"]
    assert "gone" in problems[f"final/{ONE}, version 3"] and len(problems) == 3
    with pytest.raises(DatasetError, match="archived version is gone"):
        back_up(plain_folder.path, plain_folder.path.parent / "x.tar", store.database)
    assert not (plain_folder.path.parent / "x.tar").exists()
