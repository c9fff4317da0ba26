"""A clock that is set back or forward changes no order, and no lease lasts longer than it was given."""

from __future__ import annotations

import time

import pytest

from cardiolabel.errors import LeasedError
from cardiolabel.records.layout import FINAL
from cardiolabel.store import lease_clock

from .folders import Folder, image_ids, save, text_of, texts

ONE, OTHER = image_ids(2)
HOUR_S = 3600.0


class Clock:
    """The wall clock, as a test sets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = time.time()
        monkeypatch.setattr(time, "time", lambda: self.now_s)
        monkeypatch.setattr(time, "time_ns", lambda: int(self.now_s * 1e9))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_the_reading_that_was_saved_last_counts(folder: Folder, clock: Clock) -> None:
    store = folder.open()
    save(store, ONE, "older", "ann")
    clock.now_s -= 5 * HOUR_S
    save(store, ONE, "newer", "ann", tag="review")
    save(store, ONE, "newest", "ann")
    assert [text_of(path) for _, path in store.readings()] == ["newest"]
    assert texts(store, ONE) == ["older", "newest"] and text_of(folder.label(ONE)) == "newest"


def test_a_clock_that_stands_still_hides_no_version(folder: Folder, clock: Clock) -> None:
    store = folder.open()
    for text in ("first", "other", "third"):  # of equal size at equal times
        save(store, ONE, text, "ann")
        assert text_of(folder.label(ONE)) == text
    assert texts(store, ONE) == ["first", "other", "third"]
    states = {(version.modified_ns, version.size) for version in store.history(ONE, FINAL)}
    assert len(states) == 3


def test_scores_are_read_on_from_the_last_one(folder: Folder, clock: Clock) -> None:
    store = folder.open()
    store.put_score("p0000", "before", {})
    store.put_score("p0001", "before", {})
    last = store.scores_since(0)[-1].sequence
    clock.now_s -= 5 * HOUR_S
    store.put_score("p0000", "after", {})
    assert [(score.patient, score.state) for score in store.scores_since(last)] == [("p0000", "after")]
    assert [score.patient for score in store.scores_since(0)] == ["p0001", "p0000"]


def test_every_save_changes_the_revision(folder: Folder, clock: Clock) -> None:
    store = folder.open()
    save(store, ONE, "older", "ann")
    before = store.revision()
    clock.now_s -= 5 * HOUR_S
    save(store, ONE, "newer", "ann")
    assert store.revision() != before


@pytest.mark.parametrize("boot", ["", "of another machine"])
def test_a_lease_of_the_future_lasts_no_longer_than_it_was_given(
    folder: Folder, clock: Clock, boot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing says by how much the clock was set, as between two machines."""
    monkeypatch.setattr(lease_clock, "_boot_id", lambda: boot)
    store = folder.open()
    lease = store.hand_out("ann", seconds=60)
    assert lease is not None and lease.image_id == ONE
    clock.now_s -= 24 * HOUR_S
    if boot:
        monkeypatch.setattr(lease_clock, "_boot_id", lambda: "of this machine")
        folder.close()
        store = folder.open()
    (held,) = store.leases()
    assert held.annotator == "ann" and held.expires_at - clock.now_s == pytest.approx(60, abs=1)
    assert (other := store.hand_out("bob", seconds=1)) is not None and other.image_id != ONE
    clock.now_s += 61
    assert store.leases() == []
    again = store.hand_out("bob", seconds=60)
    assert again is not None and again.image_id == ONE


@pytest.mark.parametrize("by_s", [-30 * 24 * HOUR_S, 30 * 24 * HOUR_S], ids=["back", "forward"])
@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_a_lease_moves_with_the_clock(folder: Folder, clock: Clock, by_s: float, restarted: bool) -> None:
    store, other_server = folder.open(), folder.open()
    lease = store.hand_out("ann", seconds=600)
    assert lease is not None
    clock.now_s += 100
    clock.now_s += by_s
    if restarted:
        folder.close()
        store, other_server = folder.open(), folder.open()
    for server in (store, other_server, store):
        (held,) = server.leases()
        assert held.annotator == "ann" and held.expires_at - clock.now_s == pytest.approx(500, abs=120)
        with pytest.raises(LeasedError):
            server.take(lease.image_id, "bob")
    clock.now_s += 60
    assert len(store.leases()) == 1
