"""Benchmark of saves and hand-outs in small and large studies folders, beside MONAI Label's datastore."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from monailabel.datastore.local import LocalDatastore

from cardiolabel.domain import Phase, Record, View
from cardiolabel.experiments.bench.figures import Found, Progress, Target
from cardiolabel.records.layout import FINAL, SUFFIX, file_of, id_of
from cardiolabel.store.store import Store
from cardiolabel.store.writer import Save

SIZES = (100, 1000, 10_000)

_CALLS, _STOCK_CALLS = 60, 5
_MASK = bytes(3000)
"""Content of a label; the store does not read it."""


def bench_datastore(
    *, home: Path, sizes: Sequence[int] = SIZES, on_progress: Progress = lambda done, total, what: None
) -> list[Found]:
    """Time saves and hand-outs in folders of ``sizes`` images, made in ``home``."""
    stores = {count: _store(_folder(home / f"ours-{count}", count)) for count in sizes}
    figures: list[Found] = []
    try:
        save = _in_turns({count: _saving(store, count) for count, store in stores.items()})
        hand_out = _in_turns({count: _handing_out(store) for count, store in stores.items()})
    finally:
        for store in stores.values():
            store.close()
    on_progress(1, 1 + len(sizes), "datastore")
    part = "datastore"
    for count in sizes:
        figures.append(Found(part, f"save a label, {count} images", save[count], "ms"))
        figures.append(Found(part, f"hand out the next image, {count} images", hand_out[count], "ms"))
        label = file_of(home, "label")
        label.write_bytes(_MASK)
        stock_ms = _stock_save_ms(_folder(home / f"stock-{count}", count), label)
        figures.append(Found(part, f"stock: save a label, {count} images", stock_ms, "ms"))
        on_progress(2 + sizes.index(count), 1 + len(sizes), "datastore")
    few, many = min(sizes), max(sizes)
    for what, times in (("save", save), ("hand out", hand_out)):
        ratio = times[many] / times[few]
        figures.append(Found(part, f"{what}, {many} images over {few}", ratio, "x", Target(most=1.5)))
    return figures


def _folder(path: Path, count: int) -> Path:
    path.mkdir(parents=True)
    for number in range(count):
        file_of(path, f"p{number:05d}").write_bytes(b"an image")
    return path


def _store(folder: Path) -> Store:
    records = {
        id_of(path): Record(id_of(path), path.name[:6], View.A4C, Phase.ED, "made", path)
        for path in sorted(folder.glob(f"*{SUFFIX}"))
    }
    return Store(folder, records=lambda: records)


def _saving(store: Store, count: int) -> Callable[[int], object]:
    def work(turn: int) -> object:
        image_id = f"p{turn * 7919 % count:05d}"
        return store.writer.save(image_id, FINAL, lambda path: path.write_bytes(_MASK), Save(author="one"))

    return work


def _handing_out(store: Store) -> Callable[[int], object]:
    return lambda turn: store.hand_out(f"annotator {turn}", seconds=1)


def _in_turns(works: dict[int, Callable[[int], object]]) -> dict[int, float]:
    """Time each work in turns, so that other load affects all alike; medians in ms."""
    taken: dict[int, list[float]] = {count: [] for count in works}
    for turn in range(_CALLS):
        for count, work in works.items():
            start_s = time.perf_counter()
            work(turn)
            taken[count].append(1e3 * (time.perf_counter() - start_s))
    return {count: statistics.median(times) for count, times in taken.items()}


def _stock_save_ms(folder: Path, label: Path) -> float:
    logging.getLogger("monailabel").setLevel(logging.ERROR)
    store = LocalDatastore(str(folder), extensions=[f"*{SUFFIX}"], auto_reload=False)
    taken = []
    for turn in range(_STOCK_CALLS):
        start_s = time.perf_counter()
        store.save_label(f"p{turn:05d}", str(label), FINAL, {})
        taken.append(1e3 * (time.perf_counter() - start_s))
    return statistics.median(taken)
