"""Versions of a model: published whole or not at all, served one at a time, rolled back."""

import multiprocessing
import os
import signal
import threading
from pathlib import Path

import pytest

from cardiolabel.errors import (
    CorruptWeightsError,
    InputError,
    MissingWeightsError,
    StaleModelError,
)
from cardiolabel.models import versions as module
from cardiolabel.models.versions import Versions
from cardiolabel.networks.registry import build
from cardiolabel.networks.weights import ModelCard, load_model, save_model

ARGUMENTS = {"out_channels": 2, "widths": [2, 4, 8]}


def made(folder: Path, version: str, *, name: str = "tiny") -> Path:
    """A model in a folder of its own, unlike every other version's."""
    folder.mkdir(parents=True, exist_ok=True)
    network = build("unet", ARGUMENTS)
    card = ModelCard(name, version, "unet", ARGUMENTS, "lv", "nothing", "none")
    save_model(network, card, folder=folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path / "model", "1.0")


def served(folder: Path) -> str:
    """Version of the card of what would be loaded now, once its weights are checked."""
    return load_model("tiny", Versions(folder).folder("tiny"))[1].version


def test_without_any_the_folders_own_files_are_served(folder: Path) -> None:
    versions = Versions(folder)
    assert (versions.served("tiny"), versions.folder("tiny"), served(folder)) == (0, folder, "1.0")
    (only,) = versions.listed("tiny")
    assert (only.number, only.served, only.note, only.reason) == (0, True, {}, "")
    assert versions.exist("tiny") and not versions.exist("other")


def test_publishing_and_rolling_back(folder: Path, tmp_path: Path) -> None:
    versions = Versions(folder)
    for number, version in ((1, "1.1"), (2, "1.2")):
        new = versions.publish("tiny", made(tmp_path / version, version), note={"why": version})
        assert (new.number, new.note, new.served) == (number, {"why": version}, True)
        assert served(folder) == version
    assert [(each.number, each.served) for each in versions.listed("tiny")] == [
        (2, True),
        (1, False),
        (0, False),
    ]
    states = [versions.state("tiny")]
    for number in (1, 0):
        assert versions.roll_back("tiny").number == number
        states.append(versions.state("tiny"))
    assert served(folder) == "1.0" and len(set(states)) == 3
    with pytest.raises(InputError, match="no version before 0"):
        versions.roll_back("tiny")
    assert versions.roll_back("tiny", 2).number == 2 and served(folder) == "1.2"
    with pytest.raises(InputError, match="no usable version 7; there are: 2, 1, 0"):
        versions.roll_back("tiny", 7)
    # What comes after a rollback is a new version too: no number ever means two models.
    with pytest.raises(InputError, match="no model 'other'"):
        versions.roll_back("other")
    versions.roll_back("tiny", 1)
    assert versions.publish("tiny", made(tmp_path / "1.3", "1.3"), note={}).number == 3
    assert load_model("tiny", folder)[1].version == "1.0"  # the shipped files stay what they were


def test_a_damaged_model_is_never_served(folder: Path, tmp_path: Path) -> None:
    versions = Versions(folder)
    bad = made(tmp_path / "bad", "bad")
    (bad / "tiny.safetensors").write_bytes(b"torn")
    with pytest.raises(CorruptWeightsError, match="sha256"):
        versions.publish("tiny", bad, note={})
    with pytest.raises(MissingWeightsError):
        versions.publish("other", bad, note={})
    for version in ("1.1", "1.2"):
        versions.publish("tiny", made(tmp_path / version, version), note={})
    (versions.folder("tiny", 1) / "tiny.safetensors").write_bytes(b"torn")
    with pytest.raises(CorruptWeightsError, match="sha256"):
        versions.roll_back("tiny", 1)
    (versions.folder("tiny", 1) / "tiny.json").unlink()
    assert "no weights" in versions.listed("tiny")[1].reason
    assert versions.roll_back("tiny").number == 0  # passes over the one that cannot be used
    (folder / "versions" / "tiny" / "served").write_text("two")
    with pytest.raises(CorruptWeightsError, match="served is damaged"):
        versions.served("tiny")


def test_what_was_compared_with_another_version_is_refused(folder: Path, tmp_path: Path) -> None:
    versions = Versions(folder)
    versions.publish("tiny", made(tmp_path / "1.1", "1.1"), note={}, instead_of=0)
    with pytest.raises(StaleModelError, match="version 1 is served by now, not 0"):
        versions.publish("tiny", made(tmp_path / "1.2", "1.2"), note={}, instead_of=0)
    assert served(folder) == "1.1"


def test_a_full_disk_changes_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = Versions(folder)
    new = made(tmp_path / "1.1", "1.1")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    for broken in ("copy_synced", "atomic", "sync_folder"):
        with monkeypatch.context() as patched:
            patched.setattr(module, broken, full)
            with pytest.raises(OSError, match="No space"):
                versions.publish("tiny", new, note={})
        assert served(folder) == "1.0"
    assert not list((folder / "versions" / "tiny").glob(".partial-*"))
    versions.publish("tiny", new, note={})
    assert served(folder) == "1.1"


def test_many_at_once_lose_none(folder: Path, tmp_path: Path) -> None:
    new = [made(tmp_path / f"n{number}", f"n{number}") for number in range(8)]
    threads = [
        threading.Thread(target=lambda each=each: Versions(folder).publish("tiny", each, note={}))
        for each in new
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    listed = Versions(folder).listed("tiny")
    assert [each.number for each in listed] == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert {each.card.version for each in listed if each.card} == {
        "1.0",
        *(f"n{number}" for number in range(8)),
    }


def _killed_at(folder: Path, new: Path, step: str) -> None:
    """Publish, and be killed at a step of it."""

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, step, die)
    Versions(folder).publish("tiny", new, note={})


@pytest.mark.parametrize("step", ["copy_synced", "atomic", "sync_folder"])
def test_a_killed_process_leaves_what_was_served(folder: Path, tmp_path: Path, step: str) -> None:
    new = made(tmp_path / "1.1", "1.1")
    process = multiprocessing.get_context("fork").Process(target=_killed_at, args=(folder, new, step))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert served(folder) == "1.0"
    version = Versions(folder).publish("tiny", new, note={})  # nothing is left locked
    assert served(folder) == "1.1" and version.served
    assert not list((folder / "versions" / "tiny").glob(".partial-*"))
