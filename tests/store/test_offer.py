"""Choosing the next image by what there is: others may save meanwhile, and nobody gets another's image."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from cardiolabel.store.leases import Offers
from cardiolabel.store.store import Store

from .folders import Folder, image_ids

SOON_S = 20
"""Far beyond a save, far below the minute for which a transaction would wait."""


def first_free(offers: Offers) -> str | None:
    return next((image_id for free in offers.free.values() for image_id in free), None)


def test_others_write_while_it_is_chosen(folder: Folder) -> None:
    store = folder.open()
    with ThreadPoolExecutor(1) as pool:

        def choose(offers: Offers) -> str | None:
            beside = pool.submit(store.put_score, "p0001", "state", {"reason": ""})
            beside.result(timeout=SOON_S)
            return first_free(offers)

        lease = store.offer("ann", choose)
    assert lease is not None and lease.image_id == image_ids(8)[0]


def test_an_image_leased_meanwhile_stays_with_its_annotator(folder: Folder) -> None:
    store = folder.open()
    requested: list[str | None] = []

    def choose(offers: Offers) -> str | None:
        requested.append(first_free(offers))
        if len(requested) == 1:
            assert requested[0] is not None
            store.take(requested[0], "bob")
        return requested[-1]

    lease = store.offer("ann", choose)
    assert lease is not None and lease.image_id == requested[1] != requested[0]
    assert {lease.image_id: lease.annotator for lease in store.leases()} == {
        requested[0]: "bob",
        requested[1]: "ann",
    }


def test_many_at_once_get_different_images(folder: Folder) -> None:
    store: Store = folder.open()
    with ThreadPoolExecutor(8) as pool:
        leases = list(pool.map(lambda number: store.offer(f"ann{number}", first_free), range(8)))
    assert sorted(lease.image_id for lease in leases if lease) == image_ids(8)


def test_an_annotator_holding_all_images_gets_the_oldest_again(folder: Folder) -> None:
    store = folder.open()
    for image_id in image_ids(8):
        store.take(image_id, "ann")
    lease = store.offer("ann", first_free)
    assert lease is not None and lease.image_id == image_ids(8)[0]
