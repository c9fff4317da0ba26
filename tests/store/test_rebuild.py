"""A database that is lost or damaged is refused beside an archive, and made anew from it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from cardiolabel.errors import BusyError, ConflictError, DamagedStoreError, StoreError
from cardiolabel.records.layout import FINAL
from cardiolabel.store.rebuild import Rebuilt, rebuild
from cardiolabel.store.store import Store
from cardiolabel.store.writer import Save

from .folders import Folder, image_ids, save, text_of, texts

ONE, OTHER, THIRD, FOURTH = image_ids(4)


def fill(folder: Folder) -> None:
    """Saves of two people, a conflict, a rollback, a removal, a dropped file and measurements."""
    store = folder.open()
    first = save(store, ONE, "first", "ann", model={"name": "camus"}, info={"note": "ä"})
    store.note_measured(first, [{"ef_pct": 55.0}], {"rows": [1]})
    with pytest.raises(ConflictError):
        save(store, ONE, "beside", "bob", base=0)
    save(store, ONE, "third", "bob", base=1)
    store.writer.roll_back(ONE, FINAL, 1, Save(author="cid"))
    save(store, ONE, "predicted", tag="original")
    save(store, OTHER, "removed", "ann")
    store.writer.remove_label(OTHER, FINAL)
    folder.drop(THIRD, "dropped")
    store.sync.refresh()
    save(store, THIRD, "after", "ann")
    folder.drop(FOURTH, "of another program")
    store.sync.refresh()
    store.update_label_info(THIRD, FINAL, {"seen": True})


def state(store: Store) -> dict[str, Any]:
    """All that is known of labels."""
    return {
        "counted": store.counted(),
        "open": store.image_ids(is_open=True),
        "current": [(label.image_id, label.tag, label.number) for label in store.all_labels()],
        "histories": [
            store.history(image_id, tag) for image_id in image_ids(4) for tag in (FINAL, "original")
        ],
        "studies": store.measurement(store.history(ONE, FINAL)[0]),
        "readings": [(each.image_id, each.author, each.number) for each, _ in store.readings()],
    }


def lose(folder: Folder) -> None:
    """Remove every record."""
    folder.close()
    if folder.url is None:
        for path in (folder.path / ".cardiolabel").glob("store.sqlite*"):
            path.unlink()
        return
    engine = create_engine(folder.url.replace("postgresql:", "postgresql+psycopg:", 1))
    with engine.begin() as connection:
        names = connection.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        )
        for name in list(names.scalars()):
            connection.execute(text(f"DROP TABLE {name}"))
    engine.dispose()


def rebuilt(folder: Folder) -> Rebuilt:
    return rebuild(folder.path, folder.records(), url=folder.url)


def test_everything_that_was_recorded_of_labels_is_recorded_again(folder: Folder) -> None:
    fill(folder)
    before = state(folder.open())
    lose(folder)
    with pytest.raises(DamagedStoreError, match="cardiolabel store rebuild"):
        folder.open()
    result = rebuilt(folder)
    assert result.problems == [] and (result.labels, result.versions) == (4, 8)
    store = folder.open()
    assert state(store) == before
    assert texts(store, ONE) == ["first", "beside", "third", "first"]
    assert save(store, ONE, "next", "ann", base=4).number == 5


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\0" * 4096 + path.read_bytes()[4096:]),
        lambda path: path.write_bytes(
            path.read_bytes()[:4096] + b"\xa5" * 4096 * 8 + path.read_bytes()[36864:]
        ),
        lambda path: path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2]),
        lambda path: path.write_bytes(b"no database at all" * 1000),
    ],
    ids=["missing", "empty", "header", "pages", "cut", "other"],
)
def test_a_damaged_file_is_named_with_the_way_back(
    plain_folder: Folder, damage: Callable[[Path], object]
) -> None:
    fill(plain_folder)
    before = state(plain_folder.open())
    plain_folder.close()
    file = plain_folder.path / ".cardiolabel" / "store.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    damage(file)
    for _ in range(2):  # a second start finds no new database either
        with pytest.raises(DamagedStoreError, match=r"store\.sqlite.*cardiolabel store rebuild"):
            plain_folder.open()
    rebuilt(plain_folder)
    assert state(plain_folder.open()) == before


def test_the_former_file_is_kept(plain_folder: Folder) -> None:
    fill(plain_folder)
    plain_folder.close()
    first, second = rebuilt(plain_folder).moved_to, rebuilt(plain_folder).moved_to
    assert first is not None and second is not None and first != second
    assert first.is_file() and second.is_file()


def test_nothing_is_rebuilt_under_a_running_server(folder: Folder) -> None:
    fill(folder)
    with pytest.raises(BusyError, match="stop it first"):
        rebuilt(folder)


def test_records_that_are_there_are_not_replaced(folder: Folder) -> None:
    fill(folder)
    folder.close()
    if folder.url is not None:
        with pytest.raises(StoreError, match="has versions of labels already"):
            rebuilt(folder)


def test_versions_without_a_journal_are_named_and_kept(plain_folder: Folder) -> None:
    store = plain_folder.open()
    save(store, ONE, "first", "ann")
    save(store, ONE, "second", "ann")
    lose(plain_folder)
    archive = plain_folder.path / ".cardiolabel" / "versions" / "final" / ONE
    (archive / "journal.jsonl").unlink()
    result = rebuilt(plain_folder)
    assert [name for name, _ in result.problems] == [
        path.relative_to(plain_folder.path).as_posix()
        for path in sorted(archive.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        if path.name.endswith(".nii.gz")
    ]
    store = plain_folder.open()
    assert texts(store, ONE) == ["first", "second"] and text_of(plain_folder.label(ONE)) == "second"
    assert store.counted() == (8, {"final": 1})
    current = store.label(ONE, FINAL)
    assert current is not None and (current.number, current.author) == (2, "")


@pytest.mark.parametrize("spoiled", [b'{"version"', b"\xff\xfe\x00", b"[]", b'{"number": "x", "present": 1}'])
def test_a_line_that_cannot_be_understood_costs_itself(plain_folder: Folder, spoiled: bytes) -> None:
    store = plain_folder.open()
    save(store, ONE, "first", "ann")
    journal = plain_folder.path / ".cardiolabel" / "versions" / "final" / ONE / "journal.jsonl"
    with journal.open("ab") as file:
        file.write(spoiled)
    save(store, ONE, "second", "bob")
    lose(plain_folder)
    result = rebuilt(plain_folder)
    assert [reason for _, reason in result.problems] == ["1 lines cannot be understood and are left out"]
    history = plain_folder.open().history(ONE, FINAL)
    assert [version.author for version in history] == ["ann", "bob"]


def test_saves_that_the_database_lost_come_back_with_their_authors(plain_folder: Folder) -> None:
    """As after an old copy of the database was put back, or its log was cut off."""
    store = plain_folder.open()
    save(store, ONE, "first", "ann")
    plain_folder.close()
    file = plain_folder.path / ".cardiolabel" / "store.sqlite"
    earlier = file.read_bytes()
    store = plain_folder.open()
    save(store, ONE, "second", "bob")
    save(store, ONE, "third", "cid")
    plain_folder.close()
    file.write_bytes(earlier)
    store = plain_folder.open()
    history = store.history(ONE, FINAL)
    assert [(version.number, version.author) for version in history] == [(1, "ann"), (2, "bob"), (3, "cid")]
    assert texts(store, ONE) == ["first", "second", "third"]
    current = store.label(ONE, FINAL)
    assert current is not None and current.number == 3


def test_a_number_given_twice_loses_neither_version(plain_folder: Folder) -> None:
    store = plain_folder.open()
    save(store, ONE, "first", "ann")
    plain_folder.close()
    file = plain_folder.path / ".cardiolabel" / "store.sqlite"
    earlier = file.read_bytes()
    store = plain_folder.open()
    save(store, ONE, "second", "bob")
    plain_folder.close()
    file.write_bytes(earlier)
    plain_folder.drop(ONE, "dropped").touch()
    store = plain_folder.open()
    save(store, ONE, "newer", "cid")
    lose(plain_folder)
    rebuilt(plain_folder)
    store = plain_folder.open()
    assert sorted(texts(store, ONE)) == ["dropped", "first", "newer", "second"]
    assert text_of(plain_folder.label(ONE)) == "newer"


def test_a_hostile_journal_reaches_no_other_file(plain_folder: Folder) -> None:
    store = plain_folder.open()
    save(store, ONE, "first", "ann")
    lose(plain_folder)
    journal = plain_folder.path / ".cardiolabel" / "versions" / "final" / ONE / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"key":"', b'"key":"../../'))
    result = rebuilt(plain_folder)
    assert any("cannot be understood" in reason for _, reason in result.problems)
    assert texts(plain_folder.open(), ONE) == ["first"]


def test_a_new_folder_gets_a_new_database(plain_folder: Folder) -> None:
    plain_folder.drop(ONE, "of another program")
    assert plain_folder.open().counted() == (8, {"final": 1})
    lose(plain_folder)
    assert plain_folder.open().counted() == (8, {"final": 1})  # nothing was archived


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_a_log_that_was_cut_off_loses_no_version(plain_folder: Folder, tmp_path: Path, share: float) -> None:
    """A killed server leaves its last transactions in SQLite's log."""
    store = plain_folder.open()
    save(store, ONE, "first", "ann")
    save(store, ONE, "second", "bob")
    save(store, OTHER, "first", "cid")
    killed = Folder(tmp_path / "killed")
    shutil.copytree(plain_folder.path, killed.path, dirs_exist_ok=True, copy_function=shutil.copy2)
    log = killed.path / ".cardiolabel" / "store.sqlite-wal"
    content = log.read_bytes()
    assert content
    log.write_bytes(content[: int(len(content) * share)])
    try:
        store = killed.open()
    except DamagedStoreError:  # not even the tables were in the file yet
        rebuilt(killed)
        store = killed.open()
    assert [version.author for version in store.history(ONE, FINAL)] == ["ann", "bob"]
    assert [version.author for version in store.history(OTHER, FINAL)] == ["cid"]
    killed.close()
