"""The records of a studies folder are those of its files, and are read again only where these changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cardiolabel.domain import Clip, Spacing
from cardiolabel.io import nifti
from cardiolabel.records import manifest, studies_folder
from cardiolabel.records.layout import MANIFEST
from cardiolabel.records.studies_folder import StudiesFolder

YEAR_S = 365 * 24 * 3600
TIMES_S = {"long ago": 1_000_000_000.0, "now": time.time(), "in ten years": time.time() + 10 * YEAR_S}


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Folders, once for each time that one is scanned."""
    scanned: list[Path] = []
    original = manifest.scan_folder

    def counted(folder: Path, **options: Any) -> manifest.ScannedFolder:
        scanned.append(folder)
        return original(folder, **options)

    monkeypatch.setattr(studies_folder.manifest, "scan_folder", counted)
    yield scanned


def add_image(folder: Path, name: str) -> None:
    pixels = np.zeros((1, 8, 8), np.uint8)
    nifti.write_clip(Clip(pixels, Spacing(row_mm=1, col_mm=1)), folder / f"{name}.nii.gz")


def set_times(folder: Path, time_s: float) -> None:
    for path in (folder, folder / MANIFEST):
        os.utime(path, (time_s, time_s))


def with_manifest(folder: Path, *names: str) -> StudiesFolder:
    for name in names:
        add_image(folder, name)
    manifest.write(manifest.scan(folder), folder)
    return StudiesFolder(folder)


@pytest.mark.parametrize("time_s", TIMES_S.values(), ids=TIMES_S)
def test_whatever_its_times_say_a_folder_is_scanned_for_changes_only(
    tmp_path: Path, scans: list[Path], time_s: float
) -> None:
    folder = with_manifest(tmp_path, "a", "b")
    set_times(tmp_path, time_s)
    scans.clear()
    records = folder.by_id()
    time.sleep(2 * studies_folder._GRAIN_S)
    for _ in range(100):
        assert folder.by_id() is records
    assert len(scans) == 2  # once more, as another image could have come right after the first scan


@pytest.mark.parametrize("time_s", TIMES_S.values(), ids=TIMES_S)
def test_an_image_is_seen_at_once_whatever_the_folders_times_say(tmp_path: Path, time_s: float) -> None:
    folder = with_manifest(tmp_path, "a")
    for name in ("b", "c", "d"):
        set_times(tmp_path, time_s)
        assert name not in folder.by_id()
        add_image(tmp_path, name)
        set_times(tmp_path, time_s)
        assert name in folder.by_id()


def test_a_manifest_of_the_same_length_and_time_is_read(tmp_path: Path) -> None:
    folder = with_manifest(tmp_path, "a", "b")
    path = tmp_path / MANIFEST
    assert folder.record("a").patient == "a"
    time.sleep(2 * studies_folder._GRAIN_S)
    folder.by_id()
    status = path.stat()
    path.write_text(path.read_text(encoding="utf-8").replace("a,a,", "a,z,"), encoding="utf-8")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert folder.record("a").patient == "z"
