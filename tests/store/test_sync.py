"""What other programs do to the files: noticed as it happens, or when every file is compared."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cardiolabel.errors import UnknownLabelError
from cardiolabel.store.store import Store
from cardiolabel.store.versions import Origin

from .conftest import REARMED
from .folders import Folder, image_ids, mask, save, text_of, texts

pytestmark = REARMED

ONE, OTHER, THIRD = image_ids(3)
LAST = image_ids(8)[-1]
WITHIN_S = 30


@pytest.fixture(params=["watch", "refresh"])
def watching(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "watch")


class Server:
    """A store that either watches, or is told to compare every file."""

    def __init__(self, folder: Folder, *, watching: bool) -> None:
        self.folder, self.watching = folder, watching
        self.store = folder.open(watch=watching)

    def notices(self, holds: Callable[[Store], bool]) -> None:
        """Wait until it holds, or compare every file and see."""
        if not self.watching:
            self.store.sync.refresh()
        end = time.monotonic() + (WITHIN_S if self.watching else 0)
        while not holds(self.store):
            assert time.monotonic() < end, "not noticed"
            time.sleep(0.02)

    def settles(self) -> None:
        """Wait until what was done before has been noticed."""
        self.folder.drop(LAST, f"{time.monotonic()}")
        state = self.folder.label(LAST).stat().st_mtime_ns
        self.notices(lambda store: any(each.modified_ns == state for each in store.history(LAST, "final")))


@pytest.fixture
def server(plain_folder: Folder, watching: bool) -> Server:
    return Server(plain_folder, watching=watching)


def test_a_dropped_label_becomes_a_version(server: Server) -> None:
    path = server.folder.drop(ONE, "dropped")
    server.notices(lambda store: store.counted() == (8, {"final": 1}))
    (version,) = server.store.history(ONE, "final")
    assert (version.origin, version.author, version.size) == (Origin.FOLDER, "", len(mask("dropped")))
    assert version.saved_at == pytest.approx(path.stat().st_mtime)
    assert texts(server.store, ONE) == ["dropped"]
    assert ONE not in server.store.image_ids(is_open=True)
    assert server.store.counted() == (8, {"final": 1})


def test_a_label_renamed_into_place_becomes_a_version(server: Server) -> None:
    path = server.folder.drop(ONE, "dropped", "final")
    server.notices(lambda store: len(store.history(ONE, "final")) == 1)
    upload = path.with_name("upload.tmp")
    upload.write_bytes(mask("renamed"))
    upload.replace(path)
    server.notices(lambda store: len(store.history(ONE, "final")) == 2)
    assert text_of(server.store.version(ONE, "final", 2)[1]) == "renamed"
    with pytest.raises(UnknownLabelError, match="another program"):
        server.store.version(ONE, "final", 1)


def test_a_label_overwritten_in_place_is_a_new_version_and_the_old_one_is_kept(server: Server) -> None:
    save(server.store, ONE, "mine", "ann")
    server.folder.drop(ONE, "edited")
    server.notices(lambda store: len(store.history(ONE, "final")) == 2)
    assert texts(server.store, ONE) == ["mine", "edited"]
    assert [each.origin for each in server.store.history(ONE, "final")] == [Origin.SAVED, Origin.FOLDER]
    assert server.store.counted() == (8, {"final": 1})


def test_a_removed_label_reopens_its_image_and_keeps_its_history(server: Server) -> None:
    save(server.store, ONE, "mine", "ann")
    server.folder.label(ONE).unlink()
    server.notices(lambda store: store.counted() == (8, {}))
    assert server.store.label(ONE, "final") is None and ONE in server.store.image_ids(is_open=True)
    assert texts(server.store, ONE) == ["mine"]


def test_a_label_removed_and_put_back_is_the_same_version(server: Server) -> None:
    save(server.store, ONE, "mine", "ann")
    aside = server.folder.label(ONE).rename(server.folder.path / "aside")
    server.notices(lambda store: store.counted() == (8, {}))
    aside.rename(server.folder.label(ONE))
    server.notices(lambda store: store.counted() == (8, {"final": 1}))
    current = server.store.label(ONE, "final")
    assert current is not None and (current.number, current.author) == (1, "ann")
    assert len(server.store.history(ONE, "final")) == 1


def test_a_removed_image_takes_its_label_with_it_and_brings_it_back(server: Server) -> None:
    save(server.store, ONE, "mine", "ann")
    aside = server.folder.image(ONE).rename(server.folder.path.parent / "aside")
    server.notices(lambda store: store.counted() == (7, {}))
    assert ONE not in server.store.image_ids() and ONE not in [
        label.image_id for label in server.store.all_labels()
    ]
    aside.rename(server.folder.image(ONE))
    server.notices(lambda store: store.counted() == (8, {"final": 1}))
    assert ONE not in server.store.image_ids(is_open=True)
    assert [each.author for each in server.store.history(ONE, "final")] == ["ann"]
    assert server.store.image_ids() == image_ids(8)


def test_a_label_removed_while_its_image_was_away(server: Server) -> None:
    save(server.store, ONE, "mine", "ann")
    aside = server.folder.image(ONE).rename(server.folder.path.parent / "aside")
    server.notices(lambda store: store.counted() == (7, {}))
    server.folder.label(ONE).unlink()
    server.settles()
    aside.rename(server.folder.image(ONE))
    server.notices(lambda store: store.counted() == (8, {"final": 1}))  # that of `settles`
    assert ONE in server.store.image_ids(is_open=True)


def test_a_label_before_its_image(server: Server) -> None:
    server.folder.drop("p9999_2CH_ED", "early")
    server.settles()
    assert server.store.counted() == (8, {"final": 1}) and server.store.history("p9999_2CH_ED", "final") == []
    server.folder.add(["p9999_2CH_ED"])
    server.notices(lambda store: store.counted() == (9, {"final": 2}))
    assert texts(server.store, "p9999_2CH_ED") == ["early"]
    assert "p9999_2CH_ED" not in server.store.image_ids(is_open=True)


def test_what_is_no_label_is_left_alone(server: Server, tmp_path: Path) -> None:
    labels = server.folder.path / "labels"
    (labels / "final").mkdir(parents=True, exist_ok=True)
    server.folder.label(ONE).mkdir()
    (labels / "final" / f".{OTHER}.nii.gz").write_bytes(mask("hidden"))
    (labels / "final" / f"{OTHER}.nii").write_bytes(mask("other suffix"))
    (labels / "final" / f"{OTHER}.nii.gz.tmp").write_bytes(mask("other suffix"))
    (labels / "final" / "deeper").mkdir()
    (labels / "final" / "deeper" / f"{OTHER}.nii.gz").write_bytes(mask("too deep"))
    (labels / f"{OTHER}.nii.gz").write_bytes(mask("no tag"))
    for tag in ("odd tag", ".hidden", "ümlaut", "x" * 250):
        server.folder.drop(OTHER, "odd", tag)
    server.folder.label(THIRD).symlink_to(server.folder.label(THIRD))  # to itself
    (labels / "final" / "dangling.nii.gz").symlink_to(tmp_path / "nowhere")
    server.settles()
    assert server.store.counted() == (8, {"final": 1})
    assert [server.store.history(each, "final") for each in (ONE, OTHER, THIRD)] == [[], [], []]
    assert server.folder.label(ONE).is_dir()


def test_a_link_to_a_mask_is_a_label_and_is_replaced_not_followed(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.nii.gz"
    target.write_bytes(mask("linked"))
    (server.folder.path / "labels" / "final").mkdir(parents=True, exist_ok=True)
    server.folder.label(ONE).symlink_to(target)
    server.notices(lambda store: store.counted() == (8, {"final": 1}))
    save(server.store, ONE, "mine")
    assert texts(server.store, ONE) == ["linked", "mine"]
    assert text_of(target) == "linked" and not server.folder.label(ONE).is_symlink()


def test_a_whole_tag_folder_that_is_moved_away_and_back(server: Server, tmp_path: Path) -> None:
    for each in (ONE, OTHER):
        save(server.store, each, each, "ann")
    final = server.folder.path / "labels" / "final"
    final.rename(tmp_path / "aside")
    server.notices(lambda store: store.counted() == (8, {}))
    assert server.store.image_ids(is_open=True) == image_ids(8)
    (tmp_path / "aside").rename(final)
    server.notices(lambda store: store.counted() == (8, {"final": 2}))
    assert [len(server.store.history(each, "final")) for each in (ONE, OTHER)] == [1, 1]
    server.folder.drop(THIRD, "later")
    server.notices(lambda store: store.counted() == (8, {"final": 3}))


def test_all_labels_are_deleted_with_their_folder(server: Server) -> None:
    for each in (ONE, OTHER):
        save(server.store, each, each, "ann")
    shutil.rmtree(server.folder.path / "labels")
    server.notices(lambda store: store.counted() == (8, {}))
    save(server.store, ONE, "again", "ann", base=0)
    server.notices(lambda store: store.counted() == (8, {"final": 1}))
    server.folder.drop(THIRD, "later")
    server.notices(lambda store: store.counted() == (8, {"final": 2}))
    assert texts(server.store, ONE) == [ONE, "again"]


def test_a_folder_of_labels_that_is_a_link(plain_folder: Folder, tmp_path: Path, watching: bool) -> None:
    (tmp_path / "elsewhere").mkdir()
    (plain_folder.path / "labels").symlink_to(tmp_path / "elsewhere")
    server = Server(plain_folder, watching=watching)
    save(server.store, ONE, "mine")
    assert text_of(tmp_path / "elsewhere" / "final" / f"{ONE}.nii.gz") == "mine"
    plain_folder.drop(OTHER, "dropped")
    server.notices(lambda store: store.counted() == (8, {"final": 2}))


def test_a_tags_folder_that_is_a_link(plain_folder: Folder, tmp_path: Path, watching: bool) -> None:
    (tmp_path / "elsewhere").mkdir()
    (plain_folder.path / "labels").mkdir()
    (plain_folder.path / "labels" / "final").symlink_to(tmp_path / "elsewhere")
    server = Server(plain_folder, watching=watching)
    save(server.store, ONE, "mine")
    (tmp_path / "elsewhere" / f"{OTHER}.nii.gz").write_bytes(mask("dropped"))
    server.notices(lambda store: store.counted() == (8, {"final": 2}))
    assert texts(server.store, OTHER) == ["dropped"]


def test_a_link_to_a_tags_folder_that_is_made_while_the_server_runs(server: Server, tmp_path: Path) -> None:
    save(server.store, ONE, "mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / f"{ONE}.nii.gz").write_bytes(mask("linked"))
    (server.folder.path / "labels" / "second").symlink_to(tmp_path / "elsewhere")
    server.notices(lambda store: store.counted() == (8, {"final": 1, "second": 1}))
    (tmp_path / "elsewhere" / f"{OTHER}.nii.gz").write_bytes(mask("dropped"))
    server.notices(lambda store: store.counted() == (8, {"final": 1, "second": 2}))
    assert texts(server.store, OTHER, "second") == ["dropped"]


def test_a_folder_named_from_where_the_server_was_started(
    tmp_path: Path, watching: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Folder(Path("studies"))
    folder.add(image_ids(8))
    server = Server(folder, watching=watching)
    folder.drop(ONE, "dropped")
    server.notices(lambda store: store.counted() == (8, {"final": 1}))
    folder.close()


@pytest.mark.parametrize(
    "name", ["with space", "a#b", "a?b=c", "100%", "a%20b", "Öl und Größe", "心臓", "q'uo\"te"]
)
def test_folders_of_any_name(tmp_path: Path, name: str) -> None:
    folder = Folder(tmp_path / name / name)
    folder.add(image_ids(8))
    server = Server(folder, watching=True)
    save(server.store, ONE, "mine", "ann")
    folder.drop(OTHER, "dropped")
    server.notices(lambda store: store.counted() == (8, {"final": 2}))
    folder.close()
    assert folder.open().counted() == (8, {"final": 2})
    assert (folder.path / ".cardiolabel" / "store.sqlite").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    folder.close()


# Without asking for everything


def test_asking_for_a_label_looks_at_its_file_whatever_watches(folder: Folder) -> None:
    store = folder.open()
    assert store.label(ONE, "final") is None
    folder.drop(ONE, "dropped")
    current = store.label(ONE, "final")
    assert current is not None and current.origin is Origin.FOLDER
    assert store.counted() == (8, {"final": 1})
    folder.label(ONE).unlink()
    assert store.label(ONE, "final") is None and store.counted() == (8, {})


def test_what_changed_while_nothing_ran(folder: Folder) -> None:
    store = folder.open()
    for each in (ONE, OTHER, THIRD):
        save(store, each, each, "ann")
    folder.close()
    folder.label(ONE).unlink()
    folder.drop(OTHER, "edited")
    folder.drop(LAST, "dropped")
    folder.drop(LAST, "dropped", "original")
    folder.image(THIRD).unlink()
    store = folder.open()
    assert store.counted() == (7, {"final": 2, "original": 1})
    assert texts(store, OTHER) == [OTHER, "edited"] and texts(store, LAST) == ["dropped"]
    assert store.image_ids(is_open=True) == [
        each for each in image_ids(8) if each not in {OTHER, THIRD, LAST}
    ]
    before = [store.history(each, "final") for each in image_ids(8)]
    folder.close()
    store = folder.open()
    store.sync.refresh()
    assert [store.history(each, "final") for each in image_ids(8)] == before  # once is enough


def test_the_label_folders_went_while_nothing_ran(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "mine", "ann")
    folder.close()
    shutil.rmtree(folder.path / "labels")
    store = folder.open()
    assert store.counted() == (8, {}) and store.image_ids(is_open=True) == image_ids(8)
    assert texts(store, ONE) == ["mine"]


def test_an_older_file_put_back_is_a_version_again(folder: Folder) -> None:
    store = folder.open()
    save(store, ONE, "first", "ann")
    backup = folder.path / "backup"
    shutil.copy2(folder.label(ONE), backup)
    save(store, ONE, "second", "ann")
    shutil.copy2(backup, folder.label(ONE))
    store.sync.refresh()
    assert texts(store, ONE) == ["first", "second", "first"]


def test_a_file_with_an_impossible_time_is_listed(plain_folder: Folder) -> None:
    store = plain_folder.open()
    path = plain_folder.drop(ONE, "dropped")
    for seconds in (-1e9, 1e10):
        try:
            os.utime(path, (seconds, seconds))
        except OverflowError:
            pytest.skip("the file system does not have such times")
        store.sync.refresh()
    for version in store.history(ONE, "final"):
        assert version.as_json(current=True)["saved_at"]


def test_images_that_come_and_go_keep_their_order_and_their_notes(folder: Folder) -> None:
    store = folder.open()
    store.update_image_info(ONE, {"a": 1})
    folder.image(ONE).unlink()
    assert store.image_ids() == image_ids(8)[1:] and ONE not in store.all_image_info()
    folder.add([ONE, "a0000_2CH_ED"])
    assert store.image_ids() == ["a0000_2CH_ED", *image_ids(8)]
    assert store.image_info(ONE) == {"a": 1}


def test_a_failed_comparison_is_made_up_for(plain_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the watch said must not be lost with the request that could not record it."""
    server = Server(plain_folder, watching=True)
    server.settles()
    plain_folder.drop(ONE, "dropped")
    time.sleep(0.3)  # so that no more is said of it later
    failed = []

    def fail(*_: object) -> None:
        failed.append(True)
        raise RuntimeError("the database went away")

    with monkeypatch.context() as patched:
        patched.setattr(server.store.sync, "_reconcile_all", fail)
        end = time.monotonic() + WITHIN_S
        while not failed and time.monotonic() < end:
            try:
                server.store.counted()
            except RuntimeError:
                break
            time.sleep(0.02)
    assert failed
    server.notices(lambda store: store.counted() == (8, {"final": 2}))
