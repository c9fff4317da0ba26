"""Labels that MONAI Label's own datastore and other programs stored, taken over whole."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from cardiolabel.io import nifti
from cardiolabel.records.layout import FINAL
from cardiolabel.records.left_out_labels import left_out_labels
from cardiolabel.records.studies_folder import StudiesFolder
from cardiolabel.store import datastore_v2
from cardiolabel.store.database import set_fact
from cardiolabel.store.store import Store
from cardiolabel.store.versions import Origin

AFFINE = np.diag([-0.5, -0.4, 1.0, 1.0])
NAMES = ("Patient 1_4CH_ED", "q1_4CH_ED", "田中_2CH_ES")


class Stock:
    """A folder as MONAI Label's own datastore leaves it: masks tell by their area whose they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects: dict[str, object] = {}
        self._stores: list[Store] = []

    def add(self, name: str, ext: str, *, tag: str = FINAL, client: str = "anna", area: int = 0) -> Path:
        """An image and its label; ``area`` in pixels, by default that of the name's place in `NAMES`."""
        nib.save(nib.Nifti1Image(np.full((30, 40), 60, np.uint8), AFFINE), self.folder / f"{name}.nii.gz")
        path = self.folder / "labels" / tag / f"{name}{ext}"
        path.parent.mkdir(parents=True, exist_ok=True)
        mask = drawn(area or 10 * (1 + NAMES.index(name)))
        if ext.lower().endswith((".nrrd", ".mha")):
            image = sitk.GetImageFromArray(mask.T[np.newaxis])
            image.SetSpacing((0.5, 0.4, 1.0))
            plain = path.with_name("written.nrrd" if ext.lower().endswith("nrrd") else "written.mha")
            sitk.WriteImage(image, str(plain))
            plain.rename(path)
        else:
            content = nib.Nifti1Image(mask, AFFINE).to_bytes()
            path.write_bytes(gzip.compress(content) if ext.lower().endswith(".gz") else content)
        info = {"ts": 1_700_000_000, "client_id": client, "name": path.name}
        labels = {tag: {"ext": ext, "info": info}}
        self.objects[name] = {"image": {"ext": ".nii.gz", "info": {"note": name}}, "labels": labels}
        return path

    def write(self) -> None:
        """The file that the stock datastore keeps."""
        document = {"name": "x", "description": "", "images_dir": ".", "labels_dir": "labels"}
        text = json.dumps({**document, "objects": self.objects})
        (self.folder / datastore_v2.NAME).write_text(text)

    def open(self) -> Store:
        """A store as a server has it."""
        store = Store(self.folder, records=StudiesFolder(self.folder).by_id, watch=False)
        self._stores.append(store)
        return store

    def close(self) -> None:
        """Close every store."""
        while self._stores:
            self._stores.pop().close()

    def image_id(self, name: str) -> str:
        """The id that an image has here."""
        records = StudiesFolder(self.folder).records()
        return next(record.image_id for record in records if record.path.name == f"{name}.nii.gz")


def drawn(area: int) -> NDArray[np.uint8]:
    mask = np.zeros((30, 40), np.uint8)
    mask[5:10, 7 : 7 + area // 5] = 1
    return mask


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[Stock]:
    made = Stock(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("ext", [".nii.gz", ".nrrd", ".seg.nrrd", ".nii", ".mha", ".NRRD", ".NII.GZ"])
def test_labels_of_any_name_and_format_are_taken_over_with_author_and_time(stock: Stock, ext: str) -> None:
    originals = {stock.add(name, ext): name for name in NAMES}
    content = {path: path.read_bytes() for path in originals}
    stock.write()
    store = stock.open()
    assert store.counted() == (3, {FINAL: 3})
    assert store.image_ids(is_open=True) == []
    for area, name in zip((10, 20, 30), NAMES, strict=True):
        image_id = stock.image_id(name)
        (version,) = store.history(image_id, FINAL)
        assert (version.origin, version.author, version.saved_at) == (Origin.IMPORTED, "anna", 1_700_000_000)
        np.testing.assert_array_equal(nifti.read_mask(store.label_path(image_id, FINAL))[0], drawn(area).T)
        assert store.image_info(image_id) == {"note": name}
    assert {path: path.read_bytes() for path in originals} == content
    assert left_out_labels(StudiesFolder(stock.folder), read=True) == []


def test_a_second_start_changes_nothing_and_a_removed_label_stays_removed(stock: Stock) -> None:
    stock.add(NAMES[0], ".nii.gz")
    stock.add(NAMES[1], ".nrrd")
    stock.write()
    store = stock.open()
    first, other = (stock.image_id(name) for name in NAMES[:2])
    before = store.history(first, FINAL)
    store.writer.remove_label(other, FINAL)
    stock.close()
    store = stock.open()
    assert store.history(first, FINAL) == before
    assert store.label(other, FINAL) is None and store.counted() == (2, {FINAL: 1})


def test_labels_without_the_stock_datastore_s_file_are_taken_over_too(stock: Stock) -> None:
    stock.add(NAMES[0], ".nrrd")
    store = stock.open()
    (version,) = store.history(stock.image_id(NAMES[0]), FINAL)
    assert (version.origin, version.author) == (Origin.FOLDER, "")


def test_what_an_earlier_version_left_out_is_taken_over_now(stock: Stock) -> None:
    stock.add(NAMES[1], ".nrrd")
    store = stock.open()
    store.writer.remove_label(NAMES[1], FINAL)
    with store.database.writing() as connection:  # as where the file was imported without such labels
        set_fact(connection, "imported datastore_v2.json", "2024-01-01")
    stock.close()
    stock.add(NAMES[0], ".nrrd", client="bob")
    stock.write()
    store = stock.open()
    (version,) = store.history(stock.image_id(NAMES[0]), FINAL)
    assert (version.origin, version.author) == (Origin.IMPORTED, "bob")
    assert store.label(NAMES[1], FINAL) is None
    assert store.image_info(stock.image_id(NAMES[0])) == {}  # notes were imported then


def test_labels_that_cannot_be_used_are_named_and_the_others_taken(
    stock: Stock, caplog: pytest.LogCaptureFixture
) -> None:
    stock.add(NAMES[0], ".nrrd")
    stock.add(NAMES[1], ".nrrd").write_bytes(b"no mask")
    stock.add(NAMES[2], ".nii.gz", tag="second reading")
    (stock.folder / "labels" / FINAL / "nobody.nii.gz").write_bytes(b"")
    stock.write()
    with caplog.at_level("WARNING"):
        store = stock.open()
    assert store.counted() == (3, {FINAL: 1})
    assert "1 labels of other programs cannot be read" in caplog.text and "q1" not in caplog.text
    result = dict(left_out_labels(StudiesFolder(stock.folder), read=True))
    assert sorted(result) == [
        "labels/final/nobody.nii.gz",
        "labels/final/q1_4CH_ED.nrrd",
        "labels/second reading/田中_2CH_ES.nii.gz",
    ]
    assert "not a readable NRRD file" in result["labels/final/q1_4CH_ED.nrrd"]
    assert "rename the folder" in result["labels/second reading/田中_2CH_ES.nii.gz"]


def test_an_id_of_the_product_s_own_comes_before_a_label_called_as_the_image(stock: Stock) -> None:
    stock.add(NAMES[0], ".nii.gz")
    image_id = stock.image_id(NAMES[0])
    own = stock.folder / "labels" / FINAL / f"{image_id}.nii.gz"
    own.write_bytes(gzip.compress(nib.Nifti1Image(drawn(55), AFFINE).to_bytes()))
    store = stock.open()
    assert nifti.read_mask(store.label_path(image_id, FINAL)).sum() == 55
