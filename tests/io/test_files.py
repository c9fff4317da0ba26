"""Writes that are seen whole or not at all, and are on the disk once they return."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from cardiolabel.io import files
from cardiolabel.io.files import atomic, copy_synced, exclusive, sync_folder


@pytest.mark.parametrize(
    ("name", "suffix"), [("a.nii.gz", ".nii.gz"), ("a.csv", ".csv"), ("a", ""), ("a.b.nrrd", ".nrrd")]
)
def test_the_draft_lies_beside_it_hidden_and_with_its_suffix(tmp_path: Path, name: str, suffix: str) -> None:
    with atomic(tmp_path / "sub" / name) as draft:
        assert draft.parent == tmp_path / "sub" and draft.name.startswith(".partial-")
        assert draft.name.endswith(suffix) and not (tmp_path / "sub" / name).exists()
        draft.write_bytes(b"new")
    assert [path.name for path in (tmp_path / "sub").iterdir()] == [name]
    assert (tmp_path / "sub" / name).read_bytes() == b"new"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), ValueError("bad"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "a.csv"
    target.write_bytes(b"old")
    with pytest.raises(type(error)), atomic(target) as draft:
        draft.write_bytes(b"half")
        raise error
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]


def test_a_failed_sync_is_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    target = tmp_path / "a.csv"
    target.write_bytes(b"old")
    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"), atomic(target) as draft:
        draft.write_bytes(b"new")
    with pytest.raises(OSError, match="Input/output"):
        copy_synced(target, tmp_path / "copy")
    with pytest.raises(OSError, match="Input/output"):
        sync_folder(tmp_path)
    assert target.read_bytes() == b"old"


def test_readers_see_one_or_the_other(tmp_path: Path) -> None:
    target, contents = tmp_path / "a.bin", [bytes([value]) * 50_000 for value in range(8)]
    target.write_bytes(contents[0])
    over = threading.Event()

    def write() -> None:
        for round_ in range(40):
            with atomic(target) as draft:
                draft.write_bytes(contents[round_ % 8])
        over.set()

    writing = threading.Thread(target=write)
    writing.start()
    seen = set()
    while not over.is_set():
        seen.add(target.read_bytes())
    writing.join()
    assert seen <= set(contents)


def test_what_is_written_is_synced_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    fsync = os.fsync

    def note(handle: int) -> None:
        synced.append(os.fstat(handle).st_ino)
        assert not target.exists()
        fsync(handle)

    target = tmp_path / "a.csv"
    monkeypatch.setattr(files.os, "fsync", note)
    with atomic(target) as draft:
        draft.write_bytes(b"new")
    assert synced == [target.stat().st_ino]


def test_a_synced_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    fsync = os.fsync

    def note(handle: int) -> None:
        synced.append((os.fstat(handle).st_ino, os.fstat(handle).st_size))
        fsync(handle)

    source = tmp_path / "a"
    source.write_bytes(b"x" * 100_000)
    monkeypatch.setattr(files.os, "fsync", note)
    copy_synced(source, tmp_path / "b")
    sync_folder(tmp_path)
    assert (tmp_path / "b").read_bytes() == source.read_bytes()
    assert [each[0] for each in synced] == [(tmp_path / "b").stat().st_ino, tmp_path.stat().st_ino]
    assert synced[0][1] == 100_000
    copy_synced(source, tmp_path / "c", modified_ns=1_700_000_000_123_456_789)
    assert (tmp_path / "c").stat().st_mtime_ns == pytest.approx(1_700_000_000_123_456_789, abs=100)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's list of open files")
def test_nothing_is_left_open(tmp_path: Path) -> None:
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = opened()
    with atomic(tmp_path / "a") as draft:
        draft.write_bytes(b"x")
    copy_synced(tmp_path / "a", tmp_path / "b")
    sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        copy_synced(tmp_path / "nothing", tmp_path / "c")
    assert opened() == before


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "nothing")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=r"File exists|Not a directory"), atomic(tmp_path / "file" / "a"):
        raise AssertionError("not reached")


@pytest.mark.parametrize("umask", [0o077, 0o027, 0o022, 0o002])
@pytest.mark.parametrize("write", [atomic, exclusive])
def test_files_and_folders_are_as_open_as_the_umask_says(
    tmp_path: Path, umask: int, write: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    before = os.umask(umask)
    try:
        with write(tmp_path / "new" / "a.csv") as draft:
            assert draft.stat().st_mode & 0o777 == 0o666 & ~umask
            draft.write_bytes(b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "a.csv").stat().st_mode & 0o777 == 0o666 & ~umask
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o777 & ~umask


def test_what_must_be_new_leaves_what_is_there(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_bytes(b"old")
    with pytest.raises(FileExistsError), exclusive(target) as draft:
        draft.write_bytes(b"new")
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("has_links", [True, False])
def test_of_many_who_write_one_new_file_one_succeeds(
    tmp_path: Path, has_links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not has_links:
        monkeypatch.setattr(files.os, "link", no_link)
    target, start = tmp_path / "a.bin", threading.Barrier(16)

    def write(value: int) -> int | None:
        start.wait()
        try:
            with exclusive(target) as draft:
                draft.write_bytes(bytes([value]) * 10_000)
        except FileExistsError:
            return None
        return value

    with ThreadPoolExecutor(16) as pool:
        values = [value for value in pool.map(write, range(16)) if value is not None]
    assert len(values) == 1 and target.read_bytes() == bytes(values) * 10_000
    assert list(tmp_path.iterdir()) == [target]
