"""No room, wherever it shows: the old label stays, nothing is left over, and the next save works."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from cardiolabel.errors import ConflictError, DiskFullError, StoreError
from cardiolabel.io import files
from cardiolabel.records.layout import FINAL
from cardiolabel.store import label_files
from cardiolabel.store.store import Store
from cardiolabel.store.writer import Save

from .folders import Folder, image_ids, mask, save, text_of, texts

ONE, OTHER = image_ids(2)
NO_ROOM = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def half(path: Path) -> None:
    path.write_bytes(mask("lost")[:50])
    raise NO_ROOM


def no_room(*_: Any, **__: Any) -> None:
    raise NO_ROOM


def write_fails(store: Store, patched: pytest.MonkeyPatch) -> Callable[[Path], object]:
    return half


def copy_fails(store: Store, patched: pytest.MonkeyPatch) -> Callable[[Path], object]:
    patched.setattr(label_files, "copy_synced", lambda _, target, **__: half(target))
    return lambda path: path.write_bytes(mask("lost"))


def sync_of_the_archive_fails(store: Store, patched: pytest.MonkeyPatch) -> Callable[[Path], object]:
    patched.setattr(label_files, "sync_folder", no_room)
    return lambda path: path.write_bytes(mask("lost"))


def sync_of_the_staged_file_fails(store: Store, patched: pytest.MonkeyPatch) -> Callable[[Path], object]:
    fsync, calls = os.fsync, []

    def fail_later(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 2:
            raise NO_ROOM
        fsync(handle)

    patched.setattr(files.os, "fsync", fail_later)
    return lambda path: path.write_bytes(mask("lost"))


def no_folder_can_be_made(store: Store, patched: pytest.MonkeyPatch) -> Callable[[Path], object]:
    patched.setattr(Path, "mkdir", no_room)
    shutil.rmtree(store._files._drafts)
    return lambda path: path.write_bytes(mask("lost"))


def over_quota(store: Store, patched: pytest.MonkeyPatch) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    return write


FAILURES = (
    write_fails,
    copy_fails,
    sync_of_the_archive_fails,
    sync_of_the_staged_file_fails,
    no_folder_can_be_made,
    over_quota,
)


@pytest.mark.parametrize("failing", FAILURES)
@pytest.mark.parametrize("labelled", [True, False], ids=["second", "first"])
def test_no_room_for_a_file(
    plain_folder: Folder,
    monkeypatch: pytest.MonkeyPatch,
    failing: Callable[[Store, pytest.MonkeyPatch], Callable[[Path], object]],
    labelled: bool,
) -> None:
    store = plain_folder.open()
    save(store, OTHER, "other")
    if labelled:
        save(store, ONE, "first", "ann")
    before = texts(store, ONE), plain_folder.visible(), plain_folder.archived(), store.counted()
    with (
        monkeypatch.context() as patched,
        pytest.raises(DiskFullError, match="nothing was stored; make room"),
    ):
        store.writer.save(ONE, FINAL, failing(store, patched), Save("ann"))
    assert (texts(store, ONE), plain_folder.visible(), plain_folder.archived(), store.counted()) == before
    assert plain_folder.hidden() == []
    if labelled:
        assert text_of(plain_folder.label(ONE)) == "first"
    save(store, ONE, "after", "ann")
    assert texts(store, ONE) == [*before[0], "after"] and text_of(plain_folder.label(ONE)) == "after"


def test_no_room_to_keep_what_another_program_wrote(
    plain_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = plain_folder.open()
    plain_folder.drop(ONE, "dropped")
    copy = label_files.copy_synced

    def only_of_drafts(source: Path, target: Path, **named: Any) -> None:
        if source == plain_folder.label(ONE):
            half(target)
        copy(source, target, **named)

    with monkeypatch.context() as patched:
        patched.setattr(label_files, "copy_synced", only_of_drafts)
        with pytest.raises(DiskFullError):
            save(store, ONE, "lost", "ann")
        with pytest.raises(DiskFullError):
            store.writer.remove_label(ONE, FINAL)
    assert text_of(plain_folder.label(ONE)) == "dropped" and plain_folder.hidden() == []
    assert plain_folder.archived() == 0
    save(store, ONE, "after", "ann")
    assert texts(store, ONE) == ["dropped", "after"]


@pytest.mark.parametrize("act", ["replace", "sync_folder"])
def test_no_room_in_the_folder_of_labels_once_the_version_is_stored(
    plain_folder: Folder, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    store = plain_folder.open()
    save(store, ONE, "first", "ann")
    publish = store._files.publish

    def fail(*arguments: str) -> bool:
        if act == "sync_folder":
            publish(*arguments)
        raise NO_ROOM

    with monkeypatch.context() as patched:
        patched.setattr(store._files, "publish", fail)
        with pytest.raises(
            StoreError, match="stored as version 2, but labels/final cannot be written"
        ) as caught:
            save(store, ONE, "second", "ann")
    assert not isinstance(caught.value, DiskFullError)  # which promises that nothing was stored
    current = store.label(ONE, FINAL)
    assert current is not None and current.number == 2
    assert text_of(plain_folder.label(ONE)) == "second" and plain_folder.hidden() == []


def limit_pages(store: Store, pages: int | None) -> None:
    """Let SQLite's own disk be full at so many pages."""

    def limit(connection: Any, _: Any) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages or 2**30}")

    store.database._engine.dispose()
    event.listen(store.database._engine, "connect", limit)


def test_no_room_for_the_record(plain_folder: Folder) -> None:
    store = plain_folder.open()
    save(store, ONE, "first", "ann")
    store.take(OTHER, "bob")
    limit_pages(store, 1)  # as many as there are
    big = {"note": "x" * 100_000}
    for act in (
        lambda: save(store, ONE, "lost", "ann", info=big),
        lambda: save(store, OTHER, "lost", "ann", info=big),
        lambda: store.update_image_info(ONE, big),
        lambda: store.update_label_info(ONE, FINAL, big),
    ):
        with pytest.raises(DiskFullError, match="nothing was stored; make room"):
            act()
    assert texts(store, ONE) == ["first"] and text_of(plain_folder.label(ONE)) == "first"
    assert plain_folder.hidden() == [] and plain_folder.archived() == 1
    assert store.image_info(ONE) == {} and store.counted() == (8, {"final": 1})
    limit_pages(store, None)
    save(store, ONE, "after", "ann", info=big)
    assert texts(store, ONE) == ["first", "after"]


@pytest.fixture
def small_disk(disk_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB in memory."""
    place = disk_path / "small"
    place.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small file system is not permitted here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(place: Path, *, leave: int) -> None:
    """Use up a file system but for so many bytes."""
    status = os.statvfs(place)
    with (place / "ballast").open("ab") as file:
        file.write(b"\0" * max(status.f_bavail * status.f_frsize - leave, 0))


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    folder = Folder(small_disk / "studies")
    folder.add(image_ids(8))
    store = folder.open()
    expected: dict[str, list[str]] = {each: [] for each in image_ids(8)[:3]}
    save(store, ONE, "first")
    expected[ONE].append("first")
    folder.drop(OTHER, "dropped")
    store.sync.refresh()
    expected[OTHER].append("dropped")
    outcomes = set()
    for pages in range(24):  # one more page of room each time, so that it runs out at every step in turn
        for image_id, listed in expected.items():
            fill(small_disk, leave=pages * 4096)
            text = f"{image_id} {pages}"
            try:
                save(store, image_id, text, info={"note": "x" * 3000})
                listed.append(text)
                outcomes.add("stored")
            except DiskFullError:
                outcomes.add("full")
            (small_disk / "ballast").unlink()
            assert texts(store, image_id) == listed
            assert folder.hidden() == []
            if listed:
                assert text_of(folder.label(image_id)) == listed[-1]
    assert outcomes == {"stored", "full"}
    fill(small_disk, leave=0)
    with pytest.raises(DiskFullError):
        save(store, ONE, "lost")
    assert store.counted() == (8, {"final": 3})  # reading needs no room
    (small_disk / "ballast").unlink()
    folder.close()
    store = folder.open()
    for image_id, listed in expected.items():
        assert texts(store, image_id) == listed
        save(store, image_id, "after all")
    assert store.counted() == (8, {"final": 3})
    folder.close()


def test_a_conflict_on_a_full_disk_is_told_only_where_both_are_kept(
    plain_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = plain_folder.open()
    save(store, ONE, "first", "bob")
    with monkeypatch.context() as patched:
        patched.setattr(label_files, "copy_synced", lambda _, target, **__: half(target))
        with pytest.raises(DiskFullError):
            save(store, ONE, "lost", "ann", base=0)
    assert texts(store, ONE) == ["first"]
    with pytest.raises(ConflictError):
        save(store, ONE, "kept", "ann", base=0)
    assert texts(store, ONE) == ["first", "kept"]
