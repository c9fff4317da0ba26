"""Killed at any moment: what was acknowledged is there, nothing half-written is, the next start is clean."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from cardiolabel.errors import StoreError
from cardiolabel.records.layout import FINAL
from cardiolabel.store.versions import Origin

from .conftest import REARMED, Postgres
from .folders import Folder, image_ids, mask, save, text_of, texts
from .processes import Workers, check

pytestmark = REARMED

KILLS = int(os.environ.get("CARDIOLABEL_SOAK", "6"))
ONE, OTHER = image_ids(2)
HOURS_AGO = time.time() - 7200

BEFORE = ("writing", "archived", "staging", "staged", "recorded")
AFTER = ("committed", "publishing", "published")


@pytest.fixture
def on_disk(disk_path: Path, url: str | None) -> Iterator[Folder]:
    made = Folder(disk_path / "studies", url=url)
    made.add(image_ids(20))
    yield made
    made.close()


def dies(workers: Workers, folder: Folder, step: str) -> None:
    """Let a process die at a step of saving ``second``, or of removing the label."""
    worker = workers.start("die", folder, step=step, image_id=ONE)
    worker.ready()
    worker.go()
    assert worker.said() == []


def make_old(folder: Folder) -> None:
    """Let every hidden file look like one of hours ago."""
    for path in folder.path.rglob("*"):
        if path.name in set(folder.hidden()):
            os.utime(path, (HOURS_AGO, HOURS_AGO))


@pytest.mark.long
def test_killed_again_and_again(on_disk: Folder, workers: Workers) -> None:
    rng = random.Random(20)  # noqa: S311 - repeatable
    ids = on_disk.records().keys()
    saved: list[dict[str, Any]] = []
    rounds = KILLS if on_disk.url is None else (KILLS + 1) // 2
    for round_ in range(rounds):
        running = [
            workers.start(
                "loop", on_disk, author=f"{round_}.{at}", ids=sorted(ids)[:6], seed=rng.randrange(999)
            )
            for at in range(2)
        ]
        for worker in running:
            worker.ready()
        for worker in running:
            worker.go()
        for worker in running:  # the second goes on for a while
            time.sleep(rng.uniform(0.02, 0.4))
            worker.kill()
        saved += [each for worker in running for each in worker.said()]
        check(on_disk, on_disk.open(watch=True), saved)
        on_disk.close()
    assert len(saved) > rounds
    make_old(on_disk)
    store = on_disk.open()
    assert on_disk.hidden() == []
    check(on_disk, store, saved)
    save(store, ONE, "after all")


@pytest.mark.parametrize(
    ("url", "step"),
    [
        *(("sqlite", step) for step in (*BEFORE, *AFTER)),
        *(("postgresql", step) for step in ("staged", "recorded", "committed")),  # it has a part in these
    ],
    indirect=["url"],
)
@pytest.mark.parametrize("labelled", [True, False], ids=["second", "first"])
def test_killed_at_a_step_of_saving(workers: Workers, folder: Folder, step: str, labelled: bool) -> None:
    if labelled:
        save(folder.open(), ONE, "first", "ann", info={"text": "first"})
        folder.close()
    dies(workers, folder, step)
    before = ["first"] if labelled else []
    seen = [text_of(folder.label(ONE))] if folder.visible() else []
    assert seen == (["second"] if step == "published" else before)  # what readers see meanwhile is whole
    store = folder.open()
    expected = before if step in BEFORE else [*before, "second"]
    assert texts(store, ONE) == expected
    assert folder.visible() == ([f"final/{ONE}.nii.gz"] if expected else [])
    if expected:
        assert text_of(folder.label(ONE)) == expected[-1]
    current = store.label(ONE, FINAL)
    assert (current.number if current else 0) == len(expected)
    assert store.counted() == (8, {"final": 1} if expected else {})
    assert (ONE in store.image_ids(is_open=True)) == (not expected)
    assert save(store, ONE, "third", "ann", base=len(expected)).number == len(expected) + 1
    folder.close()
    make_old(folder)
    folder.open()
    assert folder.hidden() == [] and text_of(folder.label(ONE)) == "third"


@pytest.mark.parametrize("step", AFTER[:2])
def test_a_recorded_version_is_put_in_place_however_late(
    workers: Workers, plain_folder: Folder, step: str
) -> None:
    dies(workers, plain_folder, step)
    make_old(plain_folder)
    plain_folder.open()
    assert text_of(plain_folder.label(ONE)) == "second" and plain_folder.hidden() == []


def test_a_recorded_version_is_published_by_any_running_server(workers: Workers, folder: Folder) -> None:
    store = folder.open(watch=True)
    save(store, ONE, "first", "bob")
    dies(workers, folder, "committed")
    current = store.label(ONE, FINAL)
    assert current is not None and (current.number, current.author) == (2, "ann")
    assert text_of(folder.label(ONE)) == "second"


def test_a_file_dropped_after_the_crash_is_newer(workers: Workers, folder: Folder) -> None:
    save(folder.open(), ONE, "first", "bob")
    folder.close()
    dies(workers, folder, "committed")
    folder.drop(ONE, "dropped")
    store = folder.open()
    assert texts(store, ONE) == ["first", "second", "dropped"]
    assert text_of(folder.label(ONE)) == "dropped" and folder.hidden() == []


@pytest.mark.parametrize("step", ["removing", "removed"])
@pytest.mark.parametrize("dropped", [True, False])
def test_killed_while_removing(workers: Workers, folder: Folder, step: str, dropped: bool) -> None:
    store = folder.open()
    if dropped:
        folder.drop(ONE, "first")
        store.sync.refresh()
    else:
        save(store, ONE, "first", "ann")
    folder.close()
    dies(workers, folder, step)
    store = folder.open()
    gone = step == "removed"
    assert texts(store, ONE) == ["first"]
    assert store.counted() == (8, {} if gone else {"final": 1})
    assert (ONE in store.image_ids(is_open=True)) == gone == (folder.visible() == [])


def test_what_others_left_hidden_is_left(plain_folder: Folder) -> None:
    plain_folder.open()
    plain_folder.close()
    final = plain_folder.path / "labels" / "final"
    final.mkdir(parents=True)
    others = [final / name for name in (".gitignore", ".DS_Store", f"._{ONE}.nii.gz", ".nfs0001")]
    ours = [
        final / ".staged-0.nii.gz",
        final / ".partial-x.nii.gz",
        plain_folder.path / ".cardiolabel/drafts/0",
    ]
    ours[-1].parent.mkdir(exist_ok=True)
    for path in (*others, *ours):
        path.write_bytes(b"x")
    plain_folder.open()
    assert all(path.exists() for path in (*others, *ours))  # younger than an hour: somebody may be saving
    plain_folder.close()
    for path in (*others, *ours):
        os.utime(path, (HOURS_AGO, HOURS_AGO))
    plain_folder.open()
    assert all(path.exists() for path in others) and not any(path.exists() for path in ours)


def test_a_server_that_ends_in_an_orderly_way_in_the_middle(plain_folder: Folder) -> None:
    """Ctrl-C comes as an exception anywhere, even after the record is on disk; the files must stay then."""
    store = plain_folder.open()
    add, ended = store.writer._record, []

    def interrupted(*arguments: Any) -> Any:
        ended.append(add(*arguments))
        raise KeyboardInterrupt

    store.writer._record = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        save(store, ONE, "mine", "ann")
    plain_folder.close()
    store = plain_folder.open()
    assert texts(store, ONE) == ["mine"] and text_of(plain_folder.label(ONE)) == "mine"


def test_what_is_on_the_disk_when_the_power_goes(
    plain_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version's file and names before its record; the label's name before the answer."""
    store = plain_folder.open()
    save(store, ONE, "first", "ann")
    seen: list[int | str] = []
    fsync = os.fsync

    def note(handle: int) -> None:
        seen.append(os.fstat(handle).st_ino)
        fsync(handle)

    monkeypatch.setattr("cardiolabel.io.files.os.fsync", note)
    event.listen(store.database._engine, "commit", lambda _: seen.append("commit"))
    save(store, ONE, "second", "ann")
    label, (_, stored) = plain_folder.label(ONE), store.version(ONE, FINAL, 2)
    at = seen.index(label.stat().st_ino)  # the staged file's, which the rename kept
    assert stored.parent.stat().st_ino in seen[:at]
    assert seen[at + 1 :][:2] == ["commit", label.parent.stat().st_ino]
    seen.clear()
    save(store, OTHER, "first", "ann")
    before_the_record = seen[: seen.index(plain_folder.label(OTHER).stat().st_ino)]
    assert stored.parents[1].stat().st_ino in before_the_record  # the name of this image's new folder
    seen.clear()
    store.writer.remove_label(ONE, FINAL)
    assert label.parent.stat().st_ino in seen


def test_a_database_that_crashes_and_comes_back(postgres: Postgres, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "studies", url=postgres.new_url())
    folder.add(image_ids(8))
    store = folder.open()
    save(store, ONE, "first", "ann")
    postgres.stop()
    try:
        for act in (store.counted, lambda: save(store, ONE, "lost", "ann"), folder.open):
            with pytest.raises(StoreError):
                act()
    finally:
        postgres.start()
    assert texts(store, ONE) == ["first"] and text_of(folder.label(ONE)) == "first"
    assert save(store, ONE, "second", "ann").number == 2
    folder.close()


def test_a_database_that_crashes_after_it_recorded_a_version(postgres: Postgres, tmp_path: Path) -> None:
    """The client hears of a failure, and nobody of the version; it must not lose its file."""
    folder = Folder(tmp_path / "studies", url=postgres.new_url())
    folder.add(image_ids(8))
    store = folder.open()
    save(store, ONE, "first", "ann")
    record = store.writer._record

    def crashing(*arguments: Any) -> Any:
        record(*arguments)
        postgres.stop()
        raise StoreError("the server closed the connection unexpectedly")

    store.writer._record = crashing  # type: ignore[method-assign]
    try:
        with pytest.raises(StoreError):
            save(store, ONE, "second", "ann")
    finally:
        postgres.start()
    folder.close()
    store = folder.open()
    assert texts(store, ONE) == ["first", "second"] and text_of(folder.label(ONE)) == "second"
    assert [each.origin for each in store.history(ONE, FINAL)] == [Origin.SAVED] * 2
    folder.close()


@pytest.mark.parametrize("content", [b"", b"torn", mask("x")[:-9]])
def test_a_torn_label_of_another_program_stops_nothing(plain_folder: Folder, content: bytes) -> None:
    folder = plain_folder
    folder.drop(ONE, "x").write_bytes(content)
    store = folder.open()
    assert store.counted() == (8, {"final": 1})
    save(store, ONE, "mine")
    assert store.version(ONE, FINAL, 1)[1].read_bytes() == content and text_of(folder.label(ONE)) == "mine"
