"""Saving, conflicts, rolling back and removing."""

from __future__ import annotations

import errno
import json
import time
from pathlib import Path

import pytest

from cardiolabel.errors import ConflictError, StoreError, UnknownImageError, UnknownLabelError
from cardiolabel.store.store import Store
from cardiolabel.store.versions import Origin
from cardiolabel.store.writer import Save

from .folders import Folder, image_ids, mask, save, text_of, texts

ONE, OTHER = image_ids(2)


def is_open(store: Store, image_id: str) -> bool:
    return image_id in store.image_ids(is_open=True)


def test_a_saved_label_is_stored_with_its_metadata(folder: Folder) -> None:
    store = folder.open()
    before = time.time()
    model, ef = {"name": "m", "sha256": "0"}, [{"ef_pct": 51.5}]
    saved = save(store, ONE, "mine", "ann", model=model, ef_before=ef, info={"note": "ü", "n": [1, None]})
    assert (saved.number, saved.origin, saved.author, saved.base) == (1, Origin.SAVED, "ann", None)
    assert before <= saved.saved_at <= time.time()
    assert store.label(ONE, "final") == saved == store.history(ONE, "final")[0]
    assert (saved.model, saved.ef_before, saved.ef_after) == (model, ef, None)
    assert saved.info == {"note": "ü", "n": [1, None]}
    assert text_of(folder.label(ONE)) == "mine" == text_of(store.version(ONE, "final", 1)[1])
    assert store.label_path(ONE, "final") == folder.label(ONE)
    assert folder.visible() == [f"final/{ONE}.nii.gz"] and folder.hidden() == []
    assert store.counted() == (8, {"final": 1}) and not is_open(store, ONE)


def test_every_version_is_kept(folder: Folder) -> None:
    store = folder.open()
    for number in range(1, 6):
        assert save(store, ONE, f"take {number}", "ann").number == number
    assert texts(store, ONE) == [f"take {number}" for number in range(1, 6)]
    assert text_of(folder.label(ONE)) == "take 5"
    assert store.counted() == (8, {"final": 1})
    assert folder.hidden() == []


def test_a_repeat_reading_is_kept_beside_the_label(folder: Folder) -> None:
    store = folder.open()
    first = save(store, ONE, "first", "ann")
    again = save(store, ONE, "again", "ann", reading="reading 2", base=99)  # no conflict either
    assert (again.number, again.origin, again.info) == (2, Origin.REPEAT, {"reading": "reading 2"})
    assert store.label(ONE, "final") == first and text_of(folder.label(ONE)) == "first"
    assert texts(store, ONE) == ["first", "again"] and folder.hidden() == []
    save(store, ONE, "better", "ann", reading="reading 2")
    read = [
        (version.author, version.info.get("reading"), text_of(path)) for version, path in store.readings()
    ]
    assert sorted(read, key=str) == [("ann", "reading 2", "better"), ("ann", None, "first")]
    assert save(store, ONE, "next", "ann", base=1).number == 4
    save(store, OTHER, "alone", "ann", reading="reading 2")
    assert is_open(store, OTHER) and store.label(OTHER, "final") is None


def test_labels_of_other_tags_leave_the_image_open(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "guess", tag="original")
    save(store, ONE, "guess", tag="second-reader")
    assert store.counted() == (8, {"original": 1, "second-reader": 1}) and is_open(store, ONE)
    save(store, ONE, "mine")
    assert [label.tag for label in store.labels(ONE)] == ["final", "original", "second-reader"]
    assert [label.tag for label in store.all_labels()] == ["final", "original", "second-reader"]
    assert [label.tag for label in store.all_labels("original")] == ["original"]
    store.writer.remove_label(ONE, "original")
    assert not is_open(store, ONE)


def test_everything_survives_a_restart(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "first", "ann", info={"n": 1})
    save(store, ONE, "second", "bob", tag="final")
    store.update_image_info(OTHER, {"quality": "poor"})
    store.update_label_info(ONE, "final", {"checked": True})
    store.take(OTHER, "ann")
    listed = store.history(ONE, "final"), store.leases(), store.counted(), store.all_image_info()
    folder.close()
    again = folder.open()
    assert (again.history(ONE, "final"), again.leases(), again.counted(), again.all_image_info()) == listed
    assert again.label(ONE, "final") == listed[0][1] and listed[0][1].info == {"checked": True}
    assert texts(again, ONE) == ["first", "second"]


def test_an_unknown_image_takes_no_label(folder: Folder) -> None:
    store = folder.open()
    with pytest.raises(UnknownImageError, match="'nobody'"):
        save(store, "nobody", "mine")
    assert folder.visible() == folder.hidden() == [] and folder.archived() == 0
    assert store.counted() == (8, {})


def test_a_write_that_fails_leaves_nothing_behind(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "mine")

    def write(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(StoreError, match="Input/output error"):
        store.writer.save(ONE, "final", write, Save())
    assert text_of(folder.label(ONE)) == "mine" and folder.hidden() == [] and folder.archived() == 1
    assert len(store.history(ONE, "final")) == 1


def test_a_folder_in_the_labels_place_is_named_and_nothing_is_stored(folder: Folder) -> None:
    store = folder.open()
    folder.label(ONE).mkdir(parents=True)
    with pytest.raises(StoreError, match=r"a folder.*p0000_2CH_ED\.nii\.gz|p0000_2CH_ED\.nii\.gz.*a folder"):
        save(store, ONE, "mine")
    assert store.history(ONE, "final") == [] and is_open(store, ONE)
    assert folder.hidden() == [] and folder.archived() == 0
    folder.label(ONE).rmdir()
    assert save(store, ONE, "mine").number == 1


# Conflicts


def test_what_changed_since_it_was_opened_is_a_conflict_and_both_are_kept(folder: Folder) -> None:
    store = folder.open()
    store.take(ONE, "ann")
    store.release(ONE)
    store.take(ONE, "bob")
    save(store, ONE, "bob's", "bob")
    with pytest.raises(ConflictError, match=r"version 1 of bob.*yours is kept as version 2") as caught:
        save(store, ONE, "ann's", "ann", info={"n": 7})
    details = caught.value.details
    assert (details["current"]["version"], details["current"]["author"]) == (1, "bob")
    assert (details["yours"]["version"], details["yours"]["origin"]) == (2, "conflict")
    assert text_of(folder.label(ONE)) == "bob's" and texts(store, ONE) == ["bob's", "ann's"]
    stored = store.history(ONE, "final")[1]
    assert (stored.origin, stored.author, stored.base, stored.info) == (Origin.CONFLICT, "ann", 0, {"n": 7})
    current = store.label(ONE, "final")
    assert current is not None and current.number == 1
    assert store.counted() == (8, {"final": 1}) and folder.hidden() == []
    again = save(store, ONE, "merged", "ann", base=1)
    assert (again.number, again.base, again.origin) == (3, 1, Origin.SAVED)
    assert text_of(folder.label(ONE)) == "merged"


def test_a_refused_save_is_refused_again_without_a_base_version(folder: Folder) -> None:
    store = folder.open()
    store.take(ONE, "ann")
    save(store, ONE, "bob's", "bob")
    for number in (2, 3):
        with pytest.raises(ConflictError):
            save(store, ONE, f"ann's {number}", "ann")
    assert texts(store, ONE) == ["bob's", "ann's 2", "ann's 3"] and text_of(folder.label(ONE)) == "bob's"


def test_an_explicit_base_must_be_the_current_version(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "first", "ann")
    for base in (0, 2, 7):
        with pytest.raises(ConflictError):
            save(store, ONE, f"on {base}", "ann", base=base)
    assert save(store, ONE, "last", "ann", base=1).number == 5
    assert texts(store, ONE) == ["first", "on 0", "on 2", "on 7", "last"]


def test_a_base_of_nothing_where_there_is_nothing(folder: Folder) -> None:
    store = folder.open()
    assert save(store, ONE, "mine", "ann", base=0).number == 1
    with pytest.raises(ConflictError, match="no label any more"):
        save(store, OTHER, "mine", "ann", base=1)
    assert folder.visible() == [f"final/{ONE}.nii.gz"] and is_open(store, OTHER)
    assert store.history(OTHER, "final")[0].origin is Origin.CONFLICT


def test_an_explicit_base_counts_for_other_tags_too(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "first", tag="draft")
    save(store, ONE, "second", tag="draft")
    with pytest.raises(ConflictError):
        save(store, ONE, "third", tag="draft", base=1)


def test_the_same_author_saves_twice(folder: Folder) -> None:
    store = folder.open()
    store.take(ONE, "ann")
    assert [save(store, ONE, text, "ann").number for text in ("first", "second", "third")] == [1, 2, 3]


def test_anonymous_saves_have_no_conflicts(folder: Folder) -> None:
    store = folder.open()
    store.take(ONE, "")
    save(store, ONE, "bob's", "bob")
    assert save(store, ONE, "anybody's").number == 2


def test_a_removed_label_conflicts_with_what_was_opened_before(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "bob's", "bob")
    store.take(ONE, "ann")
    store.writer.remove_label(ONE, "final")
    with pytest.raises(ConflictError, match="no label any more") as caught:
        save(store, ONE, "ann's", "ann")
    assert caught.value.details["current"] is None
    assert is_open(store, ONE) and folder.visible() == []
    assert texts(store, ONE) == ["bob's", "ann's"]
    assert save(store, ONE, "ann's", "ann", base=0).number == 3


def test_after_the_lease_ended_and_another_saved(folder: Folder) -> None:
    store = folder.open()
    first = store.hand_out("ann", seconds=0.01)
    assert first is not None
    time.sleep(0.02)
    second = store.hand_out("bob")
    assert second is not None and second.image_id == first.image_id
    save(store, first.image_id, "bob's", "bob")
    with pytest.raises(ConflictError, match="of bob"):
        save(store, first.image_id, "ann's", "ann")
    assert texts(store, first.image_id) == ["bob's", "ann's"]


def test_a_file_that_another_program_wrote_meanwhile_conflicts(folder: Folder) -> None:
    store = folder.open()
    store.take(ONE, "ann")
    folder.drop(ONE, "dropped")
    with pytest.raises(ConflictError, match="of somebody"):
        save(store, ONE, "ann's", "ann")
    assert text_of(folder.label(ONE)) == "dropped"
    save(store, ONE, "merged", "ann", base=1)
    assert texts(store, ONE) == ["dropped", "ann's", "merged"]


def test_a_file_of_another_program_is_kept_before_it_is_replaced(folder: Folder) -> None:
    store = folder.open()
    folder.drop(ONE, "dropped")
    save(store, ONE, "mine")
    assert texts(store, ONE) == ["dropped", "mine"] and text_of(folder.label(ONE)) == "mine"


# Rolling back


def test_rolling_back_is_a_new_version(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "first", "ann")
    save(store, ONE, "second", "ann")
    back = store.writer.roll_back(ONE, "final", 1, Save(author="bob", info={"why": "x"}))
    assert (back.number, back.origin, back.author) == (3, Origin.ROLLBACK, "bob")
    assert back.info == {"why": "x", "rolled_back_to": 1}
    assert texts(store, ONE) == ["first", "second", "first"] and text_of(folder.label(ONE)) == "first"


def test_rolling_back_a_removed_label_brings_it_back(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "first", "ann")
    store.writer.remove_label(ONE, "final")
    store.writer.roll_back(ONE, "final", 1, Save(author="ann"))
    assert text_of(folder.label(ONE)) == "first" and not is_open(store, ONE)
    assert store.counted() == (8, {"final": 1})


def test_rolling_back_to_what_lost_a_conflict(folder: Folder) -> None:
    store = folder.open()
    store.take(ONE, "ann")
    save(store, ONE, "bob's", "bob")
    with pytest.raises(ConflictError):
        save(store, ONE, "ann's", "ann")
    store.writer.roll_back(ONE, "final", 2, Save(author="bob"))
    assert text_of(folder.label(ONE)) == "ann's"


def test_rolling_back_conflicts_only_with_a_stated_base_version(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "first", "ann")
    save(store, ONE, "second", "bob")
    with pytest.raises(ConflictError):
        store.writer.roll_back(ONE, "final", 1, Save(author="ann", base=1))
    assert text_of(folder.label(ONE)) == "second"
    assert store.writer.roll_back(ONE, "final", 1, Save(author="ann")).number == 4
    assert save(store, ONE, "third", "ann").number == 5  # what ann has before them now is the fourth
    assert texts(store, ONE) == ["first", "second", "first", "first", "third"]


def test_there_is_no_such_version(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "first", "ann")
    for image_id, tag, number in ((ONE, "final", 2), (ONE, "x", 1), ("z", "final", 1)):
        with pytest.raises(UnknownLabelError):
            store.writer.roll_back(image_id, tag, number, Save())
        with pytest.raises(UnknownLabelError):
            store.version(image_id, tag, number)


def test_a_version_with_a_deleted_file_is_named(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "first")
    save(store, ONE, "second")
    store.version(ONE, "final", 1)[1].unlink()
    with pytest.raises(UnknownLabelError, match=r"version 1 .* is gone"):
        store.version(ONE, "final", 1)
    with pytest.raises(UnknownLabelError, match=r"version 1 .* is gone"):
        store.writer.roll_back(ONE, "final", 1, Save())


# Removing


def test_a_removed_label_keeps_its_history_and_reopens_its_image(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "first", "ann")
    store.writer.remove_label(ONE, "final")
    assert store.label(ONE, "final") is None and store.labels(ONE) == [] and folder.visible() == []
    assert is_open(store, ONE) and store.counted() == (8, {})
    assert texts(store, ONE) == ["first"]
    with pytest.raises(UnknownLabelError):
        store.writer.remove_label(ONE, "final")
    with pytest.raises(UnknownLabelError):
        store.update_label_info(ONE, "final", {})
    assert save(store, ONE, "second", "ann", base=0).number == 2
    assert texts(store, ONE) == ["first", "second"]


def test_a_file_of_another_program_is_kept_before_it_is_removed(folder: Folder) -> None:
    store = folder.open()
    folder.drop(ONE, "dropped")
    store.writer.remove_label(ONE, "final")
    assert folder.visible() == [] and texts(store, ONE) == ["dropped"]


def test_removing_the_label_of_an_image_that_is_gone_keeps_the_counts(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "mine")
    save(store, OTHER, "mine")
    folder.image(ONE).unlink()
    assert store.counted() == (7, {"final": 1})
    store.writer.remove_label(ONE, "final")
    assert store.counted() == (7, {"final": 1})
    folder.add([ONE])
    assert store.counted() == (8, {"final": 1}) and is_open(store, ONE)


# Notes


def test_notes_are_added_and_never_replaced_as_a_whole(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "mine", info={"a": 1, "b": 2})
    store.update_label_info(ONE, "final", {"b": 3, "c": 4})
    assert store.history(ONE, "final")[0].info == {"a": 1, "b": 3, "c": 4}
    store.update_image_info(ONE, {"a": 1})
    store.update_image_info(ONE, {"b": {"c": []}})
    assert store.image_info(ONE) == {"a": 1, "b": {"c": []}} and store.image_info(OTHER) == {}
    assert store.image_info("nobody") == {}
    with pytest.raises(UnknownImageError):
        store.update_image_info("nobody", {})
    version = store.history(ONE, "final")[0]
    store.note_measured(version, [{"ef_pct": 60.0}], {"patient": []})
    assert store.measurement(version) == {"patient": []}
    assert store.history(ONE, "final")[0].ef_after == [{"ef_pct": 60.0}]


def test_readings_are_the_last_mask_of_each_named_author(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "ann's first", "ann")
    save(store, ONE, "ann's second", "ann")
    store.take(ONE, "cid")
    save(store, ONE, "bob's", "bob")
    with pytest.raises(ConflictError):
        save(store, ONE, "cid's", "cid")
    save(store, ONE, "nobody's")
    save(store, ONE, "guess", "model", tag="original")
    folder.drop(OTHER, "dropped")
    result = {(each.image_id, each.author): text_of(path) for each, path in store.readings()}
    assert result == {(ONE, "ann"): "ann's second", (ONE, "bob"): "bob's", (ONE, "cid"): "cid's"}


def test_a_version_for_people_is_json_without_paths(folder: Folder) -> None:
    store = folder.open()
    shown = save(store, ONE, "mine", "ann").as_json(current=True)
    assert shown["version"] == 1 and shown["current"] is True and shown["bytes"] == len(mask("mine"))
    assert "key" not in shown and str(folder.path) not in str(shown)


def test_what_cannot_be_recorded_leaves_nothing_behind(folder: Folder) -> None:
    store = folder.open()
    with pytest.raises((StoreError, TypeError)):
        save(store, ONE, "mine", info={"note": {1, 2}})
    assert folder.visible() == folder.hidden() == [] and folder.archived() == 0
    assert store.history(ONE, "final") == []


def test_authors_of_any_name(folder: Folder) -> None:
    store = folder.open()
    for author in ("Jürgen 心", "'; DROP TABLE versions; --", "a\0b", "\ud800", "x" * 200):
        lease = store.hand_out(author)
        assert lease is not None and store.take(lease.image_id, author).annotator == lease.annotator
        save(store, lease.image_id, "first", author)
        save(store, lease.image_id, "second", "bob")
        with pytest.raises(ConflictError):  # so it is known who opened it
            save(store, lease.image_id, "third", author)
        listed = store.history(lease.image_id, "final")
        assert listed[0].author == listed[2].author == lease.annotator
        json.dumps([each.as_json(current=True) for each in listed]).encode("utf-8")


def test_a_base_greater_than_any_version(folder: Folder) -> None:
    store = folder.open()
    for base in (2**31 - 1, 2**31, 2**80):
        with pytest.raises(ConflictError):
            save(store, ONE, f"{base}", base=base)
    assert texts(store, ONE) == ["2147483647", "2147483648", f"{2**80}"]
