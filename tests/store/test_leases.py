"""Who gets which image next: never one that somebody else works on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cardiolabel.errors import LeasedError, UnknownImageError
from cardiolabel.store import leases
from cardiolabel.store.leases import Lease
from cardiolabel.store.store import LEASE_S, Store
from cardiolabel.store.writer import Save

from .folders import Folder, image_ids, save

ONE, OTHER = image_ids(2)
FIRST_PATIENT, SECOND_PATIENT = image_ids(8)[:4], image_ids(8)[4:]
NOW = 1_000_000.0


def handed(store: Store, annotator: str, *, now: float = NOW, seconds: float = 60) -> str | None:
    """Next image at a time that the test says."""
    with store.database.writing() as connection:
        lease = leases.hand_out(connection, annotator, now=now, seconds=seconds, pivot=None)
    return lease.image_id if lease else None


def taken(store: Store, image_id: str, annotator: str, *, now: float = NOW, seconds: float = 60) -> Lease:
    with store.database.writing() as connection:
        return leases.take(connection, image_id, annotator, now=now, seconds=seconds)


def drained(store: Store, annotator: str, *, seed: object = None) -> list[str]:
    """All that an annotator without a name is handed."""
    result = []
    while lease := store.hand_out(annotator, seed=seed):
        result.append(lease.image_id)
        assert len(result) < 1000
    return result


def test_in_the_folders_order_and_each_only_once(folder: Folder) -> None:
    store = folder.open()
    assert drained(store, "") == image_ids(8)
    assert store.hand_out("") is None and store.hand_out("ann") is None
    assert [lease.image_id for lease in store.leases()] == image_ids(8)


def test_a_lease_says_who_and_until_when(folder: Folder) -> None:
    store = folder.open()
    before = time.time()
    lease = store.hand_out("ann")
    assert lease is not None and lease == store.leases()[0]
    assert (lease.image_id, lease.patient, lease.annotator) == (ONE, "p0000", "ann")
    assert before <= lease.taken_at <= time.time()
    assert lease.expires_at == pytest.approx(lease.taken_at + LEASE_S)
    assert lease.as_json()["image"] == ONE and lease.as_json()["taken_at"].endswith("+00:00")


def test_a_patient_stays_with_an_annotator(folder: Folder) -> None:
    store = folder.open()
    result: dict[str, list[str]] = {"ann": [], "bob": []}
    for _ in range(4):
        for annotator in result:
            lease = store.hand_out(annotator)
            assert lease is not None
            result[annotator].append(lease.image_id)
    assert result == {"ann": FIRST_PATIENT, "bob": SECOND_PATIENT}


def test_a_patient_stays_with_an_annotator_who_submits_in_between(folder: Folder) -> None:
    store = folder.open()
    result = []
    for _ in range(4):
        lease = store.hand_out("ann")
        assert lease is not None
        result.append(lease.image_id)
        save(store, lease.image_id, "mine", "ann")
        assert store.hand_out("bob") is not None  # starts the second patient, whatever ann does
    assert result == FIRST_PATIENT


def test_a_patient_of_another_annotator_only_when_no_other_is_left(folder: Folder) -> None:
    store = folder.open()
    assert handed(store, "ann") == FIRST_PATIENT[0] and handed(store, "bob") == SECOND_PATIENT[0]
    assert handed(store, "cid") == FIRST_PATIENT[1]
    assert handed(store, "cid") == FIRST_PATIENT[2]


def test_asking_again_gives_another_and_the_first_one_only_at_the_end(folder: Folder) -> None:
    store = folder.open()
    assert [handed(store, "ann", now=NOW + step) for step in range(10)] == [*image_ids(8), ONE, OTHER]
    assert handed(store, "bob") is None


def test_anonymous_requests_get_no_image_twice(folder: Folder) -> None:
    store = folder.open()
    assert [handed(store, "") for _ in range(10)] == [*image_ids(8), None, None]


def test_a_lease_ends_by_itself(folder: Folder) -> None:
    store = folder.open()
    for each in image_ids(8)[1:]:
        taken(store, each, "bob", seconds=1e9)
    assert handed(store, "ann", seconds=60) == ONE
    assert handed(store, "cid", now=NOW + 59.9) is None
    assert handed(store, "cid", now=NOW + 60) == ONE  # not a moment longer
    assert handed(store, "ann", now=NOW + 61) is None


def test_leases_end_by_the_clock(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    store = folder.open()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    lease = store.hand_out("ann", seconds=60)
    assert lease is not None and store.leases() == [lease]
    now += 60
    assert store.leases() == []
    again = store.hand_out("bob", seconds=60)
    assert again is not None and again.image_id == lease.image_id


def test_taking_and_renewing_and_releasing(folder: Folder) -> None:
    store = folder.open()
    first = taken(store, ONE, "ann", now=NOW, seconds=60)
    renewed = taken(store, ONE, "ann", now=NOW + 50, seconds=60)
    assert (first.expires_at, renewed.expires_at) == (NOW + 60, NOW + 110)
    with pytest.raises(LeasedError, match=rf"{ONE}: ann works on it until 1970"):
        taken(store, ONE, "bob", now=NOW + 100)
    assert taken(store, ONE, "bob", now=NOW + 110).annotator == "bob"
    store.release(ONE)
    store.release(ONE)
    store.release("nobody")
    assert taken(store, ONE, "cid", now=NOW + 111).annotator == "cid"
    with pytest.raises(UnknownImageError):
        store.take("nobody", "ann")


def test_anonymous_requests_lease_their_image_too(folder: Folder) -> None:
    store = folder.open()
    store.take(ONE, "")
    with pytest.raises(LeasedError, match="somebody works on it"):
        store.take(ONE, "ann")
    assert store.take(ONE, "").image_id == ONE


def test_a_removed_image_cannot_be_taken(folder: Folder) -> None:
    store = folder.open()
    lease = store.take(ONE, "ann")
    folder.image(ONE).unlink()
    with pytest.raises(UnknownImageError):
        store.take(ONE, "ann")
    assert store.leases() == [] and ONE not in drained(store, "")
    folder.add([ONE])
    assert store.leases()[0] == lease


def test_labelled_images_are_never_handed_out(folder: Folder) -> None:
    store = folder.open()
    for each in FIRST_PATIENT:
        save(store, each, "mine")
    save(store, SECOND_PATIENT[0], "a guess", tag="original")
    assert drained(store, "") == SECOND_PATIENT
    assert [lease.image_id for lease in store.leases()] == SECOND_PATIENT


def test_a_removed_label_opens_the_image_again_and_a_rollback_closes_it(folder: Folder) -> None:
    store = folder.open()
    for each in image_ids(8):
        save(store, each, "mine", "ann")
    assert store.hand_out("ann") is None
    store.writer.remove_label(OTHER, "final")
    assert store.hand_out("bob", seconds=0.01) is not None
    time.sleep(0.02)
    store.writer.roll_back(OTHER, "final", 1, Save())
    assert store.hand_out("bob") is None


def test_a_label_removed_while_its_lease_runs_goes_back_to_whom_it_was_handed(folder: Folder) -> None:
    store = folder.open()
    for each in image_ids(8)[1:]:
        save(store, each, "mine", "ann")
    store.take(ONE, "ann")
    save(store, ONE, "mine", "ann")
    assert store.hand_out("ann") is None and store.leases() == []
    store.writer.remove_label(ONE, "final")
    assert store.hand_out("bob") is None
    lease = store.hand_out("ann")
    assert lease is not None and lease.image_id == ONE
    save(store, ONE, "again", "ann")  # no conflict: the hand-out said that there is no label


def test_a_dropped_label_closes_the_image(folder: Folder) -> None:
    store = folder.open()
    folder.drop(ONE, "dropped")
    store.sync.refresh()
    assert drained(store, "") == image_ids(8)[1:]


# Shuffled


def test_a_seed_has_one_order_and_another_seed_another(tmp_path: Path) -> None:
    ids = image_ids(80)
    orders = {}
    for seed in (1, 1, 2, "1", None):
        with_seed = Folder(tmp_path / f"{seed!r}{len(orders)}")
        with_seed.add(ids)
        order = drained(with_seed.open(), "", seed=seed)
        with_seed.close()
        assert sorted(order) == ids
        assert orders.setdefault(seed, order) == order
    assert orders[None] == ids
    assert orders[1] != orders[2] and orders[1] != ids and orders[1] == orders["1"]
    patients = [order.split("_")[0] for order in orders[1]]
    assert all(patients[at] == patients[at - at % 4] for at in range(80))  # a patient's images together


def test_shuffling_keeps_patients_with_their_annotators(folder: Folder) -> None:
    store = folder.open()
    result: dict[str, set[str]] = {"ann": set(), "bob": set()}
    for _ in range(4):
        for annotator in result:
            lease = store.hand_out(annotator, seed=annotator)
            assert lease is not None
            result[annotator].add(lease.patient)
    assert sorted(map(len, result.values())) == [1, 1] and result["ann"] != result["bob"]


def test_a_shuffled_order_leaves_nothing_out(folder: Folder) -> None:
    store = folder.open()
    assert [store.hand_out("ann", seed=seed) is not None for seed in range(9)] == [True] * 9
    assert {lease.image_id for lease in store.leases()} == set(image_ids(8))


# What was opened


def test_what_was_opened_outlives_the_lease_and_a_restart(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "first", "bob")
    store.take(ONE, "ann")
    store.release(ONE)
    folder.close()
    store = folder.open()
    with store.database.reading() as connection:
        assert leases.opened(connection, ONE, "ann") == 1
        assert leases.opened(connection, OTHER, "ann") is None
        assert leases.opened(connection, ONE, "") is None
