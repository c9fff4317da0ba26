"""A save or a hand-out costs the same for a hundred images and for thousands."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from cardiolabel.store.store import Store

from .folders import Folder, image_ids, record, save

FEW, MANY = 100, 3000
CALLS, ROUNDS = 9, 8
RATIO = 2.5
"""Thirty times the images; what grew with them would take far longer than this, even between other work."""


def filled(path: Path, count: int, url: str | None = None) -> tuple[Folder, Store]:
    """A store with a third of its images labelled, and twelve annotators at work."""
    folder = Folder(path, url=url)
    records = {image_id: record(image_id, folder.image(image_id)) for image_id in image_ids(count)}
    for image_id in image_ids(count)[: count // 3]:
        folder.drop(image_id, "done")
    store = folder.open(records=lambda: records)
    for at in range(24):
        store.hand_out(f"annotator {at % 12}")
    return folder, store


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Store]]:
    made = {count: filled(tmp_path_factory.mktemp("scaling") / str(count), count) for count in (FEW, MANY)}
    yield {count: store for count, (_, store) in made.items()}
    for folder, _ in made.values():
        folder.close()


numbers = itertools.count()

ACTS: dict[str, Callable[[Store, str], object]] = {
    "count": lambda store, _: store.counted(),
    "look up a label": lambda store, image_id: store.label(image_id, "final"),
    "history": lambda store, image_id: store.history(image_id, "final"),
    "save again": lambda store, image_id: save(store, image_id, "again", "ann"),
    "hand out": lambda store, _: store.hand_out("annotator 3"),
    "hand out to somebody new": lambda store, _: store.hand_out(f"new {next(numbers)}", seconds=0),
    "hand out shuffled": lambda store, _: store.hand_out(f"new {next(numbers)}", seed=5, seconds=0),
    "take": lambda store, image_id: store.take(image_id, "ann"),
    "leases": lambda store, _: store.leases(),
    "note": lambda store, image_id: store.update_label_info(image_id, "final", {"a": 1}),
}


@pytest.mark.parametrize("act", ACTS)
def test_the_cost_does_not_grow(sizes: dict[int, Store], act: str) -> None:
    def median_s(count: int) -> float:
        times = []
        for at in range(CALLS):
            image_id = image_ids(count)[count // 3 - 1 - at]
            start = time.perf_counter()
            ACTS[act](sizes[count], image_id)
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    for count in sizes:
        ACTS[act](sizes[count], image_ids(1)[0])  # statements are compiled once
    result = []
    for at in range(ROUNDS):  # other work on this machine, and the watching of files just made, come and go
        time.sleep(0.2 * at)
        few, many = median_s(FEW), median_s(MANY)
        result.append(many / few)
        if result[-1] < RATIO:
            return
    raise AssertionError(
        f"{act} takes {min(result):.1f} times as long or more for {MANY // FEW} times the images"
    )


@pytest.mark.parametrize("act", ACTS)
def test_no_statement_reads_a_whole_table(sizes: dict[int, Store], act: str) -> None:
    store, seen = sizes[MANY], list[tuple[str, Any]]()

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            seen.append((statement, parameters))

    event.listen(store.database._engine, "before_cursor_execute", note)
    try:
        ACTS[act](store, image_ids(MANY)[5])
    finally:
        event.remove(store.database._engine, "before_cursor_execute", note)
    assert seen
    with store.database.reading() as connection:
        plans = {
            (statement, row[-1])
            for statement, parameters in seen
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        }
    whole = [(step, statement) for statement, step in plans if step.startswith("SCAN")]
    assert not [each for each in whole if each[0].split()[1] not in {"leases", "counts"}], whole


def test_the_check_detects_a_full_table_read(sizes: dict[int, Store]) -> None:
    with sizes[MANY].database.reading() as connection:
        (row,) = connection.execute(text("EXPLAIN QUERY PLAN SELECT * FROM images WHERE info = 'x'"))
    assert row[-1].startswith("SCAN images")


def test_opening_a_store_again_reads_no_label(
    sizes: dict[int, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comparing thousands of files takes a look at each, and a transaction for none."""
    store = sizes[MANY]
    reconciled = []
    monkeypatch.setattr(store.sync, "reconcile_locked", lambda *result: reconciled.append(result))
    start = time.perf_counter()
    store.sync.refresh()
    assert reconciled == [] and time.perf_counter() - start < 5
