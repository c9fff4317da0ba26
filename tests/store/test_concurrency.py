"""Several processes, each with several threads, on one folder."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cardiolabel.errors import ConflictError, InputError, UnknownImageError, UnknownLabelError
from cardiolabel.store import images
from cardiolabel.store.store import Store
from cardiolabel.store.versions import Origin, Version
from cardiolabel.store.writer import Save

from .conftest import REARMED
from .folders import Folder, image_ids, mask, save, text_of, texts
from .processes import Workers, at_once, check

pytestmark = REARMED

TIMES = int(os.environ.get("CARDIOLABEL_SOAK", "1"))
THREADS, PROCESSES = 8, 2
ONE, OTHER = image_ids(2)


@pytest.fixture
def many(disk_path: Path, url: str | None) -> Iterator[Folder]:
    """A hundred images on a disk."""
    made = Folder(disk_path / "studies", url=url)
    made.add(image_ids(100))
    yield made
    made.close()


def test_all_save_at_once_and_nothing_is_lost(many: Folder, workers: Workers) -> None:
    each = 25 * TIMES
    running = [
        workers.start("threads", many, author=f"w{at}", ids=image_ids(100), count=each, threads=THREADS)
        for at in range(PROCESSES)
    ]
    bystander = many.open(watch=True)  # a third server, which compares files all the time
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            bystander.sync.refresh()
            bystander.label(ONE, "final")
            bystander.hand_out("ann")

    looking = threading.Thread(target=look)
    looking.start()
    try:
        saved = at_once(running)
    finally:
        over.set()
        looking.join()
    assert len(saved) == each * THREADS * PROCESSES
    check(many, many.open(), saved)
    assert many.hidden() == [] and many.archived() == len(saved)


def test_no_image_is_handed_out_twice(folder: Folder, workers: Workers) -> None:
    folder.add(image_ids(60))
    running = [workers.start("drain", folder, author=f"a{at}", threads=THREADS) for at in range(PROCESSES)]
    handed = [each for each in at_once(running) if "image" in each]
    assert Counter(each["image"] for each in handed) == Counter(image_ids(60))
    leases = {lease.image_id: lease.annotator for lease in folder.open().leases()}
    assert leases == {each["image"]: each["annotator"] for each in handed}


def test_servers_that_start_at_once_on_a_new_folder(tmp_path: Path, url: str | None) -> None:
    for round_ in range(3 * TIMES):
        folder = Folder(tmp_path / str(round_), url=url if round_ == 0 else None)
        folder.add(image_ids(8))
        opened: list[Store] = []
        assert (
            together([None] * 6, lambda _, folder=folder, opened=opened: opened.append(folder.open())) == []
        )
        assert together(opened, lambda store: save(store, ONE, "mine")) == []
        assert texts(opened[0], ONE) == ["mine"] * 6
        assert [store.counted() for store in opened] == [(8, {"final": 1})] * 6
        folder.close()


def test_servers_that_see_new_files_at_once(folder: Folder) -> None:
    stores = [folder.open() for _ in range(4)]
    for round_ in range(3 * TIMES):
        folder.add([f"q{round_}x{at}_2CH_ED" for at in range(20)])
        for at in range(20):
            folder.drop(f"q{round_}x{at}_2CH_ED", f"{round_}")
        failures = together(stores, lambda store: store.sync.refresh())
        assert failures == []
        total = 8 + 20 * (round_ + 1)
        assert [store.counted() for store in stores] == [(total, {"final": total - 8})] * 4
    for image_id in stores[0].image_ids():
        assert len(stores[0].history(image_id, "final")) == (0 if image_id.startswith("p") else 1)


def test_a_server_that_compares_files_and_one_that_saves_do_not_wait_for_each_other(folder: Folder) -> None:
    ids = [f"q{at:02d}_2CH_ED" for at in range(30)]
    folder.add(ids)
    stores = [folder.open() for _ in range(3)]

    def work(store: Store) -> None:
        if store is not stores[0]:
            store.sync.refresh()
            return
        for image_id in reversed(ids):
            save(store, image_id, "saved")

    for round_ in range(2 * TIMES):
        for image_id in ids:
            folder.drop(image_id, f"dropped {round_}")
        assert together(stores, work) == []
    for image_id in ids:
        assert texts(stores[0], image_id)[-1] == "saved" == text_of(folder.label(image_id))


def test_of_several_who_opened_the_same_label_one_wins_and_all_are_kept(folder: Folder) -> None:
    stores = [folder.open() for _ in range(6)]
    conflicts = []

    def work(store: Store) -> None:
        author = f"a{stores.index(store)}"
        try:
            save(store, ONE, author, author, base=0)
        except ConflictError:
            conflicts.append(author)

    assert together(stores, work) == []
    assert len(conflicts) == 5
    assert sorted(texts(stores[0], ONE)) == [f"a{at}" for at in range(6)]
    current = stores[0].label(ONE, "final")
    assert current is not None and current.author not in conflicts
    assert text_of(folder.label(ONE)) == current.author
    assert [each.origin for each in stores[0].history(ONE, "final")].count("conflict") == 5
    assert folder.hidden() == []


def test_an_annotator_who_asks_several_times_at_once(folder: Folder) -> None:
    stores = [folder.open() for _ in range(4)]
    for image_id in image_ids(8)[1:]:
        save(stores[0], image_id, "done")
    for _ in range(5 * TIMES):
        got: list[str | None] = []

        def work(store: Store, got: list[str | None] = got) -> None:
            lease = store.hand_out("ann")
            got.append(lease.image_id if lease else None)

        assert together(stores, work) == []
        assert got == [ONE] * 4


def test_the_last_free_image_is_found_while_another_request_holds_its_row(folder: Folder) -> None:
    store, other = folder.open(), folder.open()
    for image_id in image_ids(8)[1:]:
        save(store, image_id, "done")
    holding, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with other.database.writing() as connection:
            images.locked(connection, ONE)
            holding.set()
            let_go.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert holding.wait(10)
    timer = threading.Timer(0.2, let_go.set)
    timer.start()
    lease = store.hand_out("")
    thread.join()
    assert lease is not None and lease.image_id == ONE


def test_everything_at_once(folder: Folder) -> None:
    """No act fails but for what it says of its input, and in the end records and files agree."""
    ids, tags = image_ids(8), ("final", "final", "original")
    stores = [folder.open(watch=at == 0) for at in range(3)]

    def act(store: Store, rng: random.Random) -> object:
        image_id, tag, who = rng.choice(ids), rng.choice(tags), rng.choice(("", "ann", "bob", "cid"))
        acts: list[Callable[[], object]] = [
            lambda: save(store, image_id, f"{rng.random()}", who, tag=tag),
            lambda: save(store, image_id, f"{rng.random()}", who, tag=tag, base=rng.randrange(4)),
            lambda: store.writer.roll_back(image_id, tag, rng.randrange(1, 4), Save(author=who)),
            lambda: store.writer.remove_label(image_id, tag),
            lambda: store.hand_out(who, seconds=rng.choice((0.001, 0.05, 60)), seed=rng.choice((None, 1))),
            lambda: store.take(image_id, who, seconds=0.02),
            lambda: store.release(image_id),
            lambda: store.label(image_id, tag),
            lambda: store.update_label_info(image_id, tag, {"n": rng.random()}),
            lambda: store.update_image_info(image_id, {"n": rng.random()}),
            lambda: store.sync.refresh(),
            lambda: (store.counted(), store.leases(), store.readings(), store.all_labels()),
            lambda: folder.drop(image_id, f"{rng.random()}", tag),
            lambda: folder.label(image_id, tag).unlink(missing_ok=True),
            lambda: folder.image(image_id).unlink(missing_ok=True),
            lambda: folder.add(ids),
        ]
        return rng.choice(acts)()

    def work(index: int) -> None:
        rng = random.Random(f"{index} {TIMES}")  # noqa: S311 - repeatable, as far as threads are
        for _ in range(20 * TIMES):
            with suppress(InputError):
                act(stores[index % 3], rng)

    assert together(range(9), work) == []
    folder.add(ids)
    folder.close()
    store = folder.open()
    assert store.image_ids() == ids
    labels = {tag: [each for each in ids if folder.label(each, tag).exists()] for tag in set(tags)}
    assert store.counted() == (8, {tag: len(result) for tag, result in sorted(labels.items()) if result})
    assert store.image_ids(is_open=False) == labels["final"]
    for tag, outcome in labels.items():
        assert [label.image_id for label in store.all_labels(tag)] == outcome
        for image_id in ids:
            listed = store.history(image_id, tag)
            assert [each.number for each in listed] == list(range(1, len(listed) + 1))
            for item in listed:
                if item.origin is not Origin.FOLDER:
                    assert text_of(store.version(image_id, tag, item.number)[1])
            current = store.label(image_id, tag)
            if current and current.origin is not Origin.FOLDER:
                stored = store.version(image_id, tag, current.number)[1]
                assert stored.read_bytes() == folder.label(image_id, tag).read_bytes()
    assert folder.hidden() == []


# Races, one step at a time


def test_a_save_between_removing_and_deleting_is_not_deleted(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = folder.open(), folder.open()
    save(store, ONE, "first")
    saving = threading.Thread(target=save, args=(other, ONE, "second"))
    unpublish = store.writer._files.unpublish

    def slowly(image_id: str, tag: str) -> None:
        saving.start()
        saving.join(0.3)  # it must wait for this; on its own it is done long before
        unpublish(image_id, tag)

    monkeypatch.setattr(store.writer._files, "unpublish", slowly)
    store.writer.remove_label(ONE, "final")
    saving.join()
    assert text_of(folder.label(ONE)) == "second"
    current = store.label(ONE, "final")
    assert current is not None and current.number == 2
    assert store.counted() == (8, {"final": 1})


def test_a_file_dropped_between_recording_and_publishing_is_not_overwritten(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = folder.open()
    save(store, ONE, "first")
    publish = store.writer._publish

    def after_a_drop(*arguments: object) -> None:
        folder.drop(ONE, "dropped")
        publish(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(store.writer, "_publish", after_a_drop)
        assert save(store, ONE, "second").number == 2
    assert texts(store, ONE) == ["first", "second", "dropped"] and text_of(folder.label(ONE)) == "dropped"
    assert folder.hidden() == []


@pytest.mark.parametrize("act", ["label", "refresh", "save", "remove"])
def test_a_save_between_recording_and_publishing(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    store, other = folder.open(), folder.open()
    save(store, ONE, "first")
    publish = store.writer._publish

    def after_another(*arguments: object) -> None:
        if act == "label":
            current = other.label(ONE, "final")
            assert current is not None and current.number == 2
            assert text_of(folder.label(ONE)) == "second"
        elif act == "refresh":
            other.sync.refresh()
        elif act == "save":
            save(other, ONE, "third")
        else:
            other.writer.remove_label(ONE, "final")
        publish(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(store.writer, "_publish", after_another)
        save(store, ONE, "second")
    expected = {"save": ["first", "second", "third"]}.get(act, ["first", "second"])
    assert texts(store, ONE) == expected
    if act == "remove":
        assert store.label(ONE, "final") is None and folder.visible() == []
    else:
        assert text_of(folder.label(ONE)) == expected[-1]
    assert folder.hidden() == []


def test_a_dropped_file_that_goes_while_it_is_replaced(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = folder.open()
    preserve = store._files.preserve

    def too_late(version: Version) -> str:
        folder.label(version.image_id).unlink()
        return preserve(version)

    monkeypatch.setattr(store._files, "preserve", too_late)
    folder.drop(ONE, "dropped")
    save(store, ONE, "mine")
    assert text_of(store.version(ONE, "final", 2)[1]) == "mine" == text_of(folder.label(ONE))
    folder.drop(OTHER, "dropped")
    with pytest.raises(UnknownLabelError):
        store.writer.remove_label(OTHER, "final")
    assert store.counted() == (8, {"final": 1}) and folder.archived() == 1 and folder.hidden() == []


def test_an_image_that_goes_while_its_label_is_saved(folder: Folder) -> None:
    store = folder.open()

    def write(path: Path) -> None:
        path.write_bytes(mask("mine"))
        folder.image(ONE).unlink()
        store.sync.refresh()

    with pytest.raises(UnknownImageError, match=f"no image '{ONE}'"):
        store.writer.save(ONE, "final", write, Save())
    assert folder.visible() == folder.hidden() == [] and folder.archived() == 0


def together(stores: Sequence[Any], work: Callable[[Any], object]) -> list[str]:
    """Do something with every store at once; what went wrong."""
    barrier, failures = threading.Barrier(len(stores)), list[str]()

    def run(store: Any) -> None:
        barrier.wait()
        try:
            work(store)
        except Exception as error:  # noqa: BLE001 - reported by the caller's assertion
            failures.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=run, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures
