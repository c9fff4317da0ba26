"""Deletion for good: nothing of a patient is left on the disk, and everything of the others is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cardiolabel.datasets.phantom import write_sample
from cardiolabel.io import nifti
from cardiolabel.io.images import read_image
from cardiolabel.records import manifest
from cardiolabel.records.layout import FINAL, ORIGINAL, StudiesLayout
from cardiolabel.records.studies_folder import StudiesFolder
from cardiolabel.store import erasure as module
from cardiolabel.store.erasure import Erasure
from cardiolabel.store.image_files import ImageFiles, sha256
from cardiolabel.store.rebuild import rebuild
from cardiolabel.store.store import Store
from cardiolabel.store.writer import Save

from .folders import Folder, image_ids, save

GONE, OTHER = "phantom01", "phantom02"


class Sample:
    """A studies folder with versions, notes, scores, a replaced image and a training set."""

    def __init__(self, path: Path) -> None:
        write_sample(path, patients=2, seed=1)
        self.path, self.layout = path, StudiesLayout(path)
        self.studies = StudiesFolder(path)
        self.store = Store(path, records=self.studies.by_id, watch=False)
        self.images = ImageFiles(self.studies, self.store)
        self.erasure = Erasure(self.studies, self.store, self.images)
        for record in self.studies.records():
            mask = nifti.read_mask(path / "truth" / f"{record.image_id}.nii.gz")
            for tag in (ORIGINAL, FINAL, FINAL):
                self.store.writer.save(record.image_id, tag, self._write(mask), Save(author="ada"))
            version = self.store.label(record.image_id, FINAL)
            assert version is not None
            self.store.note_measured(version, None, {"patient": record.patient})
            self.store.update_image_info(record.image_id, {"note": f"of {record.patient}"})
        (path / "truth.csv").unlink()
        for patient in (GONE, OTHER):
            self.store.put_score(patient, "state", {"patient": patient})
        self.replace(f"{GONE}_4CH_ED")
        sides = {"validation": [GONE, "p3"], "training": [OTHER]}
        (self.layout.home / "validation.json").write_text(json.dumps(sides))

    @staticmethod
    def _write(mask: np.ndarray):  # type: ignore[no-untyped-def]
        return lambda target: nifti.write_mask(mask, target, spacing=None)

    def replace(self, image_id: str) -> None:
        path = self.studies.record(image_id).path
        image = read_image(path)
        other = self.path.parent / path.name
        brighter = replace(image.clip, pixels=np.minimum(image.clip.pixels, 254) + np.uint8(1))
        nifti.write_clip(brighter, other, affine_mm=image.grid.affine_mm)
        self.images.replace(image_id, other, checksum=sha256(path), author="ada")

    def of(self, patient: str) -> list:  # type: ignore[type-arg]
        return [record for record in self.studies.records() if record.patient == patient]


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return Sample(tmp_path / "studies")


def tells(path: Path, name: str) -> list[str]:
    """Files whose name or bytes tell a name."""
    return [
        file.relative_to(path).as_posix()
        for file in path.rglob("*")
        if name in file.relative_to(path).as_posix()
        or (file.is_file() and name.encode() in file.read_bytes())
    ]


def state(path: Path, patient: str) -> dict[str, str]:
    files = [file for file in path.rglob(f"*{patient}*") if file.is_file()]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_nothing_tells_the_patient_any_more(sample: Sample) -> None:
    assert len(tells(sample.path, GONE)) > 20
    others = state(sample.path, OTHER)
    records = sample.of(GONE)
    erased = sample.erasure.erase(records)
    assert (erased.images, erased.versions, erased.left) == (len(records), 3 * len(records), ())
    assert erased.files >= 6 * len(records)
    assert not tells(sample.path, GONE)
    assert state(sample.path, OTHER) == others
    assert sample.store.image_ids() == [record.image_id for record in sample.of(OTHER)]
    assert len(sample.store.history(f"{OTHER}_4CH_ED", FINAL)) == 2
    assert {row.patient for row in manifest.read(sample.path)} == {OTHER}
    sides = json.loads((sample.layout.home / "validation.json").read_text())
    assert sides == {"validation": ["p3"], "training": [OTHER]}


def test_rows_of_either_database_are_deleted(folder: Folder) -> None:
    store = folder.open()
    gone, other = image_ids(8)[0], image_ids(8)[7]
    for image_id in (gone, other):
        save(store, image_id, "mine", "ann")
    before = store.revision()
    studies = StudiesFolder(folder.path)
    of_patient = [record for record in studies.records() if record.image_id.startswith("p0000")]
    erased = Erasure(studies, store, ImageFiles(studies, store)).erase(of_patient)
    assert (erased.images, erased.versions) == (4, 1)
    assert store.counted() == (4, {"final": 1}) and store.revision() != before
    assert not store.history(gone, FINAL) and len(store.history(other, FINAL)) == 1


def test_a_rebuild_brings_nothing_back(sample: Sample) -> None:
    sample.erasure.erase(sample.of(GONE))
    sample.store.close()
    rebuilt = rebuild(sample.path, StudiesFolder(sample.path).by_id())
    assert rebuilt.labels == 2 * len(sample.of(OTHER))
    assert not [name for name in tells(sample.path, GONE) if "before-rebuild" not in name]


@pytest.mark.parametrize("step", ["_leave_out_rows", "_erase_records", "_registers"])
def test_an_erasure_that_was_killed_is_ended_by_the_next_start(
    sample: Sample, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    records = sample.of(GONE)
    with monkeypatch.context() as patch:
        patch.setattr(module.Erasure, step, killed)
        with pytest.raises(KeyboardInterrupt):
            sample.erasure.erase(records)
    sample.store.close()
    studies = StudiesFolder(sample.path)
    store = Store(sample.path, records=studies.by_id, watch=False)
    again = Erasure(studies, store, ImageFiles(studies, store))
    erased = again.finish()
    assert erased is not None and erased.left == ()
    assert again.finish() is None
    assert not tells(sample.path, GONE)


def test_files_that_people_made_are_named_not_removed(sample: Sample) -> None:
    notes = sample.path / "my notes.txt"
    notes.write_text(f"{GONE} looks odd")
    figure = sample.path / "figures" / f"{GONE}_biplane.png"
    figure.parent.mkdir()
    figure.write_bytes(b"png")
    other = sample.path / "other site"
    write_sample(other, patients=1, seed=1)
    erased = sample.erasure.erase(sample.of(GONE))
    assert set(erased.left) == {"my notes.txt", f"figures/{GONE}_biplane.png"}
    assert notes.is_file() and figure.is_file()
    assert (other / f"{GONE}_4CH_ED.nii.gz").is_file()  # another studies folder within it


def test_a_patient_whose_name_begins_alike_stays(tmp_path: Path) -> None:
    sample = Sample(tmp_path / "studies")
    rows = manifest.read(sample.path)
    manifest.write(rows, sample.path)
    longer = sample.path / f"{GONE}0_4CH_ED.nii.gz"
    longer.write_bytes((sample.path / f"{OTHER}_4CH_ED.nii.gz").read_bytes())
    sample.erasure.erase(sample.of(GONE))
    assert longer.is_file() and f"{GONE}0_4CH_ED" in sample.store.image_ids()


def test_a_link_is_removed_and_its_target_named(sample: Sample, tmp_path: Path) -> None:
    image = sample.path / f"{GONE}_4CH_ED.nii.gz"
    target = tmp_path / "archive.nii.gz"
    image.rename(target)
    image.symlink_to(target)
    (left,) = sample.erasure.erase(sample.of(GONE)).left
    assert str(target) in left and target.is_file() and not image.is_symlink()
