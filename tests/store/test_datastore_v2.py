"""MONAI Label's ``datastore_v2.json``: taken over once, written back as its own model reads it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cardiolabel.errors import StoreError
from cardiolabel.store import datastore_v2
from cardiolabel.store.store import Store
from cardiolabel.store.versions import Origin

from .folders import Folder, image_ids, save, texts

ONE, OTHER, THIRD = image_ids(3)
SAVED_AT = 1_700_000_000


def written_by_monailabel(objects: dict[str, Any]) -> dict[str, Any]:
    """The shape that ``monailabel.datastore.local`` writes."""
    return {
        "name": "new-dataset",
        "description": "New Dataset",
        "images_dir": ".",
        "labels_dir": "labels",
        "objects": objects,
    }


def image(image_id: str, labels: dict[str, Any] | None = None, **info: Any) -> dict[str, Any]:
    name = {"ts": SAVED_AT - 5, "name": f"{image_id}.nii.gz"}
    return {"image": {"ext": ".nii.gz", "info": {**name, **info}}, "labels": labels or {}}


def label(image_id: str, ext: str = ".nii.gz", **info: Any) -> dict[str, Any]:
    return {"ext": ext, "info": {"ts": SAVED_AT, "name": f"{image_id}{ext}", **info}}


def write(folder: Folder, objects: dict[str, Any], **more: Any) -> Path:
    path = folder.path / datastore_v2.NAME
    path.write_text(json.dumps({**written_by_monailabel(objects), **more}, indent=2))
    return path


def document(folder: Folder, store: Store) -> dict[str, Any]:
    return datastore_v2.document(
        "studies", folder.records().values(), store.all_labels(), store.all_image_info()
    )


def test_notes_authors_and_times_are_taken_over(folder: Folder) -> None:
    for image_id, tag in ((ONE, "final"), (ONE, "original"), (OTHER, "final")):
        folder.drop(image_id, f"{image_id} {tag}", tag)
    labels = {
        "final": label(ONE, client_id="ann", label_info=[{"name": "lv", "idx": 1}]),
        "original": label(ONE, params={"a": 1}),
    }
    write(
        folder,
        {
            ONE: image(ONE, labels, strategy={"first": {"ts": 1, "client_id": "x"}}),
            OTHER: image(OTHER, {"final": label(OTHER)}),
            THIRD: image(THIRD),
        },
    )
    store = folder.open()
    assert store.counted() == (8, {"final": 2, "original": 1})
    assert store.image_info(ONE) == {"strategy": {"first": {"ts": 1, "client_id": "x"}}}
    assert store.image_info(OTHER) == {}
    version = store.label(ONE, "final")
    assert version is not None
    assert (version.number, version.origin, version.author) == (1, Origin.IMPORTED, "ann")
    assert version.saved_at == SAVED_AT
    assert version.info == {"client_id": "ann", "label_info": [{"name": "lv", "idx": 1}]}
    assert texts(store, ONE) == [f"{ONE} final"] and texts(store, OTHER) == [f"{OTHER} final"]
    assert store.image_ids(is_open=True) == image_ids(8)[2:]
    assert [each.author for each, _ in store.readings()] == ["ann"]


def test_only_once(folder: Folder) -> None:
    folder.drop(ONE, "mine")
    path = write(folder, {ONE: image(ONE, {"final": label(ONE, client_id="ann")}, note=1)})
    store = folder.open()
    store.update_image_info(ONE, {"note": 2})
    save(store, ONE, "second", "bob")
    before = store.history(ONE, "final")
    folder.close()
    for _ in range(2):
        store = folder.open()
        assert store.history(ONE, "final") == before and store.image_info(ONE) == {"note": 2}
        folder.close()
        write(folder, {OTHER: image(OTHER, note=3)})
    assert path.exists() and folder.open().image_info(OTHER) == {}  # what this store knows is newer


def test_a_file_that_appears_later_changes_no_known_version(folder: Folder) -> None:
    """As where somebody runs MONAI Label's own datastore on the folder for a day."""
    store = folder.open()
    saved = save(store, ONE, "mine", "ann", info={"n": 1})
    folder.close()
    folder.drop(OTHER, "theirs")
    write(
        folder,
        {
            ONE: image(ONE, {"final": label(ONE)}),
            OTHER: image(OTHER, {"final": label(OTHER, client_id="bob")}),
        },
    )
    store = folder.open()
    assert store.history(ONE, "final") == [saved] and texts(store, ONE) == ["mine"]
    assert [each.author for each in store.history(OTHER, "final")] == ["bob"]


def test_what_is_not_there_is_left_out_and_counted(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    folder.drop(ONE, "mine")
    folder.drop(OTHER, "mine")
    (folder.path / "labels" / "final" / f"{OTHER}.nii.gz").rename(folder.path / f"labels/final/{OTHER}.nii")
    write(
        folder,
        {
            ONE: image(ONE, {"final": label(ONE), "gone": label(ONE), "../up": label(ONE)}),
            OTHER: image(OTHER, {"final": label(OTHER, ".nii")}),
            "nobody": image("nobody", {"final": label("nobody")}),
            "../evil": image("../evil", {"final": label("../evil")}),
        },
    )
    with caplog.at_level("INFO"):
        store = folder.open()
    assert store.counted() == (8, {"final": 1})
    assert "took over 1 labels" in caplog.text and "5 labels" in caplog.text
    assert ONE not in caplog.text and "nobody" not in caplog.text  # ids may bear patients' names


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "1",
        '"x"',
        "{}",
        '{"objects": []}',
        '{"objects": null}',
        '{"objects": {"a": 1}}',
        '{"objects": {"a": {}}}',
        '{"objects": {"a": {"image": {}, "labels": [1]}}}',
        '{"objects": {"a": {"image": [], "labels": {}}}}',
        '{"objects": {"a": {"image": {"info": 1}}}}',
        '{"objects": {"a": {"image": {}, "labels": {"final": 1}}}}',
        "[" * 100_000,
        '{"objects": "\ud800"}',
    ],
    ids=lambda content: content[:40],
)
def test_what_cannot_be_understood_is_named_and_nothing_is_taken(plain_folder: Folder, content: str) -> None:
    plain_folder.drop(ONE, "mine")
    path = plain_folder.path / datastore_v2.NAME
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(StoreError, match=r"datastore_v2\.json: not MONAI Label's datastore .*move it away"):
        plain_folder.open()
    path.unlink()
    store = plain_folder.open()
    assert [each.origin for each in store.history(ONE, "final")] == [Origin.FOLDER]


def test_what_monailabel_would_fill_in_may_be_missing(folder: Folder) -> None:
    folder.drop(ONE, "mine")
    minimal = {ONE: {"image": {}, "labels": {"final": {"ext": ".nii.gz"}}}, OTHER: {"image": {"info": None}}}
    write(folder, minimal)
    store = folder.open()
    assert [each.origin for each in store.history(ONE, "final")] == [Origin.IMPORTED]


@pytest.mark.parametrize(
    "ts", ["soon", None, True, -5, 1e300, float("inf"), float("nan"), 1_700_000_000_000, []]
)
def test_a_time_that_is_none_is_the_files(plain_folder: Folder, ts: Any) -> None:
    folder = plain_folder
    path = folder.drop(ONE, "mine")
    os.utime(path, (SAVED_AT, SAVED_AT))
    write(folder, {ONE: image(ONE, {"final": label(ONE, ts=ts, score=float("nan"))})})
    store = folder.open()
    (version,) = store.history(ONE, "final")
    assert version.saved_at == (1 if ts is True else SAVED_AT)
    json.dumps(version.as_json(current=True), allow_nan=False)
    json.dumps(document(folder, store), allow_nan=False)


def test_numbers_that_are_none_are_taken_by_both_databases(folder: Folder) -> None:
    folder.drop(ONE, "mine")
    write(folder, {ONE: image(ONE, {"final": label(ONE, score=float("nan"))}, score=float("inf"))})
    store = folder.open()
    assert store.history(ONE, "final")[0].info == {"score": None}
    assert store.image_info(ONE) == {"score": None}


def test_a_folder_in_its_place_is_not_it(plain_folder: Folder) -> None:
    (plain_folder.path / datastore_v2.NAME).mkdir()
    assert plain_folder.open().counted() == (8, {})


def test_written_back_it_is_what_monailabel_reads(plain_folder: Folder) -> None:
    folder = plain_folder
    local = pytest.importorskip("monailabel.datastore.local", reason="MONAI Label reads its own file")
    store = folder.open()
    save(store, ONE, "mine", "ann", model={"name": "m"}, info={"client_id": "ann", "name": "not this"})
    save(store, ONE, "guess", tag="original")
    store.update_image_info(OTHER, {"quality": "poor"})
    result = document(folder, store)
    model = local.LocalDatastoreModel.model_validate_json(json.dumps(result))
    assert model.model_dump(exclude={"base_path"}) == result
    assert list(model.objects) == image_ids(8)
    assert sorted(model.objects[ONE].labels) == ["final", "original"]
    written = model.objects[ONE].labels["final"].info
    assert (written["name"], written["author"], written["version"]) == (f"{ONE}.nii.gz", "ann", 1)
    assert written["client_id"] == "ann" and written["model"] == {"name": "m"}
    assert model.objects[OTHER].image.info["quality"] == "poor"
    base = str(folder.path)
    model.base_path = base
    for image_id, each in model.objects.items():
        assert Path(model.image_path(), f"{image_id}{each.image.ext}").is_file()
        for tag in each.labels:
            assert Path(model.label_path(tag), f"{image_id}{each.labels[tag].ext}").is_file()


def test_written_back_and_taken_over_again_it_says_the_same(folder: Folder, tmp_path: Path) -> None:
    store = folder.open()
    save(store, ONE, "mine", "ann", info={"client_id": "ann", "n": [1]})
    store.update_image_info(OTHER, {"quality": "poor"})
    result = document(folder, store)
    copy = Folder(tmp_path / "copy")
    copy.add(image_ids(8))
    copy.label(ONE).parent.mkdir(parents=True)
    copy.label(ONE).write_bytes(folder.label(ONE).read_bytes())
    (copy.path / datastore_v2.NAME).write_text(json.dumps(result))
    taken = copy.open()
    (version,) = taken.history(ONE, "final")
    assert (version.author, version.info) == ("ann", {"client_id": "ann", "n": [1]})
    assert version.saved_at == int(store.history(ONE, "final")[0].saved_at)
    assert taken.image_info(OTHER)["quality"] == "poor"
    copy.close()
