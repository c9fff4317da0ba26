"""Servers and commands work side by side on a folder, or one has it to itself."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from cardiolabel.errors import BusyError
from cardiolabel.store.presence import Presence

from .folders import Folder, image_ids, save

(ONE,) = image_ids(1)


def test_several_work_side_by_side(tmp_path: Path) -> None:
    with Presence(tmp_path) as first, Presence(tmp_path) as second:
        assert (first.is_alone, second.is_alone) == (True, False)
        with pytest.raises(BusyError, match="stop it first"):
            Presence(tmp_path, alone=True)
    with Presence(tmp_path, alone=True) as only:
        assert only.is_alone
        with pytest.raises(BusyError, match="rebuilt or restored"):
            Presence(tmp_path)


def test_many_that_begin_at_once_all_do(tmp_path: Path) -> None:
    started: list[Presence] = []
    threads = [threading.Thread(target=lambda: started.append(Presence(tmp_path))) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(started) == 40
    for presence in started:
        presence.close()


def leave_behind(folder: Folder) -> list[Path]:
    """What a server leaves that was killed some seconds ago."""
    labels, drafts = folder.path / "labels" / "final", folder.path / ".cardiolabel" / "drafts"
    left = [labels / ".staged-1.nii.gz", labels / ".partial-1.nii.gz", drafts / "1.nii.gz"]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
        os.utime(path, (time.time() - 10, time.time() - 10))
    return left


def test_the_next_server_clears_what_a_killed_one_left(plain_folder: Folder) -> None:
    save(plain_folder.open(), ONE, "first", "ann")
    plain_folder.close()
    left = leave_behind(plain_folder)
    plain_folder.open()
    assert not any(path.exists() for path in left)


def test_beside_another_server_only_files_without_a_writer_go(plain_folder: Folder) -> None:
    save(plain_folder.open(), ONE, "first", "ann")
    staged, partial, draft = leave_behind(plain_folder)
    plain_folder.open()
    assert staged.exists() and draft.exists() and not partial.exists()
