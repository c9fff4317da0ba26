"""Stores of earlier versions, whose image ids depended on the order of the files, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardiolabel.records.layout import FINAL
from cardiolabel.records.studies_folder import StudiesFolder
from cardiolabel.store.database import Database, sqlite_url
from cardiolabel.store.store import Store
from cardiolabel.store.tables import images

from .folders import mask, save, text_of

TANAKA, SATO = "田中_4CH_ED.nii.gz", "佐藤_4CH_ED.nii.gz"


def record_images(folder: Path, url: str | None, patients: dict[str, str]) -> None:
    """What an earlier version recorded: the patient of each image id."""
    (folder / ".cardiolabel").mkdir(parents=True, exist_ok=True)
    database = Database(url or sqlite_url(folder / ".cardiolabel" / "store.sqlite"))
    rest = {"present": True, "open": True, "patient_rank": 0, "rank": 0, "shuffle": 0, "info": {}}
    rows = [{"image_id": image_id, "patient": patient, **rest} for image_id, patient in patients.items()]
    with database.writing() as connection:
        connection.execute(images.insert(), rows)
    database.close()


def drop(folder: Path, image_id: str, text: str) -> None:
    path = folder / "labels" / FINAL / f"{image_id}.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(mask(text))


def test_a_label_stays_with_its_patient_whose_files_come_and_go(tmp_path: Path, url: str | None) -> None:
    studies = StudiesFolder(tmp_path)
    (tmp_path / SATO).write_bytes(b"an image")
    record_images(tmp_path, url, {"4CH_ED": "田中"})
    drop(tmp_path, "4CH_ED", "of Tanaka")
    store = Store(tmp_path, records=studies.by_id, url=url, watch=False)
    assert store.counted() == (1, {})  # Sato's image, and no label of it
    (sato,) = store.image_ids()
    save(store, sato, "of Sato")
    (tmp_path / TANAKA).write_bytes(b"an image")
    store.sync.refresh()
    assert store.counted() == (2, {FINAL: 2})
    for image_id, text in (("4CH_ED", "of Tanaka"), (sato, "of Sato")):
        assert text_of(store.label_path(image_id, FINAL)) == text
    (tmp_path / TANAKA).unlink()
    store.sync.refresh()
    assert store.counted() == (1, {FINAL: 1}) and store.image_ids() == [sato]
    store.close()


@pytest.mark.parametrize("is_swapped", [False, True])
def test_two_images_of_one_earlier_id_keep_theirs(tmp_path: Path, url: str | None, is_swapped: bool) -> None:
    ids = ("4CH_ED", "4CH_ED_2")
    tanaka, sato = reversed(ids) if is_swapped else ids
    record_images(tmp_path, url, {tanaka: "田中", sato: "佐藤"})
    for name, image_id, text in ((TANAKA, tanaka, "of Tanaka"), (SATO, sato, "of Sato")):
        (tmp_path / name).write_bytes(b"an image")
        drop(tmp_path, image_id, text)
    studies = StudiesFolder(tmp_path)
    store = Store(tmp_path, records=studies.by_id, url=url, watch=False)
    assert {record.path.name: record.image_id for record in studies.records()} == {TANAKA: tanaka, SATO: sato}
    assert text_of(store.label_path(tanaka, FINAL)) == "of Tanaka"
    store.close()
