"""``cardiolabel store``: words, exit codes, and the way back from a lost database."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cardiolabel.cli import app
from cardiolabel.datasets.phantom import write_sample
from cardiolabel.io.files import copy_synced
from cardiolabel.records.layout import FINAL
from cardiolabel.store.store import Store
from cardiolabel.store.writer import Save
from cardiolabel.studies.studies import Studies

IMAGE = "phantom01_4CH_ED"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["store", *map(str, arguments)])


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """A sample with one saved label."""
    folder = tmp_path / "studies"
    write_sample(folder, patients=1, seed=0)
    store = opened(folder)
    mask = folder / "truth" / f"{IMAGE}.nii.gz"
    store.writer.save(IMAGE, FINAL, lambda path: copy_synced(mask, path), Save(author="ann"))
    store.close()
    return folder


def opened(folder: Path) -> Store:
    return Store(folder, records=Studies(folder).by_id, watch=False)


def authors(folder: Path) -> list[str]:
    store = opened(folder)
    result = [version.author for version in store.history(IMAGE, FINAL)]
    store.close()
    return result


def test_a_lost_database_is_rebuilt(studies: Path) -> None:
    for file in (studies / ".cardiolabel").glob("store.sqlite*"):
        file.unlink()
    refused = run("check", studies)
    assert refused.exit_code == 2
    assert "store.sqlite: no such file" in refused.stderr and "store rebuild" in refused.stderr
    rebuilt = run("rebuild", studies)
    assert (rebuilt.exit_code, rebuilt.stderr) == (0, "")
    assert "1 versions of 1 labels are recorded again" in rebuilt.stdout
    assert authors(studies) == ["ann"]


def test_a_backup_is_restored(studies: Path, tmp_path: Path) -> None:
    assert run("backup", studies, tmp_path / "backup.tar").exit_code == 0
    assert run("restore", tmp_path / "backup.tar", tmp_path / "copy").exit_code == 0
    assert authors(tmp_path / "copy") == ["ann"]
    assert sorted(Studies(tmp_path / "copy").by_id()) == sorted(Studies(studies).by_id())
    assert run("restore", tmp_path / "backup.tar", tmp_path / "copy").exit_code == 2
    assert run("restore", studies / "manifest.csv", tmp_path / "other").exit_code == 2


def test_a_check_ends_with_1_where_something_is_wrong(studies: Path) -> None:
    assert run("check", studies).exit_code == 0
    (archived,) = (studies / ".cardiolabel" / "versions").rglob("*.nii.gz")
    archived.write_bytes(archived.read_bytes()[:-9] + bytes(9))
    checked = run("check", studies)
    assert checked.exit_code == 1 and f"final/{IMAGE}, version 1" in checked.stderr


@pytest.mark.parametrize("command", ["backup", "rebuild", "check"])
def test_a_folder_that_is_not_there(tmp_path: Path, command: str) -> None:
    more = [tmp_path / "x.tar"] if command == "backup" else []
    refused = run(command, tmp_path / "nowhere", *more)
    assert refused.exit_code == 2 and "no such folder" in refused.stderr
