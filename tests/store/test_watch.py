"""The watch itself: nothing is left running, and a store without it still works."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from cardiolabel.errors import StoreError
from cardiolabel.store import watch
from cardiolabel.store.watch import LabelWatch

from .conftest import REARMED
from .folders import Folder, image_ids, save

pytestmark = REARMED

ONE = image_ids(1)[0]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's list of open files")
def test_nothing_is_left_open_or_running(plain_folder: Folder) -> None:
    def once() -> None:
        store = plain_folder.open(watch=True)
        save(store, ONE, "mine")
        plain_folder.close()

    once()
    files, threads = descriptors(), threading.active_count()
    for _ in range(5):
        once()
    assert (descriptors(), threading.active_count()) == (files, threads)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's list of open files")
def test_a_store_that_does_not_open_leaves_nothing_either(plain_folder: Folder) -> None:
    (plain_folder.path / "datastore_v2.json").write_text("{")

    def once() -> None:
        with pytest.raises(StoreError):
            plain_folder.open(watch=True)

    once()
    files, threads = descriptors(), threading.active_count()
    for _ in range(3):
        once()
    assert (descriptors(), threading.active_count()) == (files, threads)


def test_closing_twice_does_no_harm(plain_folder: Folder) -> None:
    store = plain_folder.open(watch=True)
    store.close()
    store.close()


@pytest.mark.parametrize("failing", ["__init__", "schedule"])
def test_where_nothing_can_be_watched_the_store_still_works(
    plain_folder: Folder, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(24, "inotify instance limit reached")

    threads = threading.active_count()
    monkeypatch.setattr(watch.Observer, failing, fail)
    assert LabelWatch(plain_folder.path).start() is False
    assert threading.active_count() == threads
    store = plain_folder.open(watch=True)
    plain_folder.drop(ONE, "dropped")
    store.sync.refresh()
    assert store.counted() == (8, {"final": 1})


def test_nothing_happened(plain_folder: Folder) -> None:
    watching = LabelWatch(plain_folder.path)
    assert watching.start() is True
    assert watching.changes() == set()
    watching.put_back({(ONE, "final")})
    assert watching.changes() == {(ONE, "final")} and watching.changes() == set()
    watching.put_back(None)
    assert watching.changes() is None and watching.changes() == set()
    watching.stop()
