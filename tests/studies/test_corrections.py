"""Corrected masks of phantoms: checked, stored, and their patient's EF before and after."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cardiolabel.datasets.phantom import write_sample
from cardiolabel.errors import (
    BadNameError,
    ConflictError,
    EmptyMaskError,
    ImageContentError,
    ImageReadError,
    MeasurementError,
    StoreError,
    UnknownImageError,
    UnknownLabelError,
)
from cardiolabel.io import nifti
from cardiolabel.store.store import Store
from cardiolabel.store.versions import Origin
from cardiolabel.store.writer import Save
from cardiolabel.studies.corrections import Corrections
from cardiolabel.studies.patient_reports import PatientReports
from cardiolabel.studies.studies import Measured, Studies

IMAGES = ("phantom01_4CH_ED", "phantom01_4CH_ES", "phantom01_2CH_ED", "phantom01_2CH_ES")
ONE = IMAGES[1]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One phantom patient's four stills, their true masks and volumes."""
    folder = tmp_path_factory.mktemp("sample") / "studies"
    write_sample(folder, patients=1, seed=1)
    return folder


@pytest.fixture
def folder(sample: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample, tmp_path / "studies"))


@pytest.fixture
def studies(folder: Path) -> Studies:
    return Studies(folder)


@pytest.fixture
def store(folder: Path, studies: Studies) -> Iterator[Store]:
    made = Store(folder, records=studies.by_id, watch=False)
    yield made
    made.close()


@pytest.fixture
def corrections(studies: Studies, store: Store) -> Corrections:
    return Corrections(PatientReports(studies), store)


def truth(folder: Path, image_id: str) -> NDArray[np.uint8]:
    return nifti.read_mask(folder / "truth" / f"{image_id}.nii.gz")


def smaller(masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Without the left half of the cavity, as a correction might take it away."""
    result = masks.copy()
    cols = np.flatnonzero((masks == 1).any(axis=(0, 1)))
    result[:, :, : int(cols.mean())] = 0
    return result


def ef_pct(found: list[dict[str, Any]] | None) -> float | None:
    """EF of the guideline convention."""
    return next((each["ef_pct"] for each in found or [] if each["convention"] == "guideline"), None)


def save_all(corrections: Corrections, folder: Path, author: str = "ann") -> None:
    for image_id in IMAGES:
        corrections.save(image_id, truth(folder, image_id), save=Save(author=author))


def test_ef_before_and_after(corrections: Corrections, store: Store, folder: Path) -> None:
    for image_id in IMAGES[:1]:
        saved = corrections.save(image_id, truth(folder, image_id), save=Save(author="ann"))
        assert saved.version.ef_before == [] and store.history(image_id, "final")[0].ef_after == []
    for image_id in IMAGES[1:]:
        saved = corrections.save(image_id, truth(folder, image_id), save=Save(author="ann"))
    stored = store.history(IMAGES[-1], "final")[0]
    (row,) = csv.DictReader((folder / "truth.csv").read_text().splitlines())
    # Before the last mask, one view alone was measured; with it, both.
    assert stored.ef_before is not None and stored.ef_after is not None
    assert {each["method"] for each in stored.ef_before} == {"single-plane-A4C"}
    assert {each["method"] for each in stored.ef_after} == {"biplane"}
    assert ef_pct(stored.ef_after) == pytest.approx(float(row["ef_pct"]), abs=4)
    assert stored.model is None and stored.author == "ann"
    corrected = corrections.save(ONE, smaller(truth(folder, ONE)), save=Save(author="bob"))
    version = store.history(ONE, "final")[1]
    assert corrected.version.number == 2 and version.ef_before == stored.ef_after
    before, after = ef_pct(version.ef_before), ef_pct(version.ef_after)
    assert before is not None and after is not None and after > before + 5  # less is left at end-systole
    rows = [row for row in corrected.measurement["patient"] if row["method"] == "biplane"]
    assert {row["convention"]: round(row["ef_pct"], 1) for row in rows}["guideline"] == after
    json.dumps(corrected.measurement, allow_nan=False)


def test_a_patient_is_measured_once_before_a_save_and_once_after(
    studies: Studies, store: Store, folder: Path
) -> None:
    measured: list[str] = []

    class Counting(PatientReports):
        def measure(self, patient: str, *, predict: bool = True) -> Measured:
            measured.append(patient)
            return super().measure(patient, predict=predict)

    corrections = Corrections(Counting(studies), store)
    corrections.save(ONE, truth(folder, ONE), save=Save(author="ann"))
    assert measured == ["phantom01"] * 2
    corrections.save(ONE, truth(folder, ONE), tag="original", save=Save(author="ann"), measure=False)
    assert measured == ["phantom01"] * 2
    corrections.roll_back(ONE, 1, save=Save(author="ann"))
    assert measured == ["phantom01"] * 4


def test_rolling_back_brings_the_ef_back(corrections: Corrections, store: Store, folder: Path) -> None:
    save_all(corrections, folder)
    first = store.history(IMAGES[-1], "final")[0].ef_after
    corrections.save(ONE, smaller(truth(folder, ONE)), save=Save(author="bob"))
    changed = store.history(ONE, "final")[1].ef_after
    back = corrections.roll_back(ONE, 1, save=Save(author="cid"))
    version = store.history(ONE, "final")[2]
    assert (version.origin, version.author, back.version.number) == (Origin.ROLLBACK, "cid", 3)
    assert version.ef_before == changed != first == version.ef_after
    assert np.array_equal(nifti.read_mask(store.label_path(ONE, "final")), truth(folder, ONE))
    with pytest.raises(UnknownLabelError):
        corrections.roll_back(ONE, 9, save=Save())
    with pytest.raises(UnknownImageError):
        corrections.roll_back("nobody", 1, save=Save())


def test_the_file_has_its_images_geometry(corrections: Corrections, store: Store, folder: Path) -> None:
    corrections.save(ONE, truth(folder, ONE), save=Save())
    image, label = (nifti.read(path) for path in (folder / f"{ONE}.nii.gz", store.label_path(ONE, "final")))
    assert image.grid.shape == label.grid.shape and np.array_equal(image.grid.affine, label.grid.affine)
    assert np.array_equal(nifti.read_mask(store.label_path(ONE, "final")), truth(folder, ONE))


def test_an_empty_mask_is_taken_only_where_it_is_meant(
    corrections: Corrections, store: Store, folder: Path
) -> None:
    empty = np.zeros_like(truth(folder, ONE))
    with pytest.raises(EmptyMaskError, match="save it with allow_empty"):
        corrections.save(ONE, empty, save=Save())
    assert store.counted() == (4, {}) and store.history(ONE, "final") == []
    saved = corrections.save(ONE, empty, save=Save(), allow_empty=True)
    assert saved.version.number == 1 and store.counted() == (4, {"final": 1})
    assert not nifti.read_mask(store.label_path(ONE, "final")).any()


def test_masks_that_are_not_of_the_image(corrections: Corrections, store: Store, folder: Path) -> None:
    good = truth(folder, ONE)
    for bad, message in (
        (good.transpose(0, 2, 1), "1 frames of 468 x 384 .*expected 1 frames of 384 x 468"),
        (good[:, :-1], "1 frames of 383 x 468"),
        (np.concatenate([good, good]), "2 frames"),
        (good[0], r"a label of shape \(384, 468\)"),
        (good[:0], "0 frames"),
        (np.where(good == 1, 7, good).astype(np.uint8), "label values 7 are unknown"),
        (np.where(good == 1, 255, 0).astype(np.uint8), "label values 255 are unknown"),
    ):
        with pytest.raises(ImageContentError, match=message):
            corrections.save(ONE, bad, save=Save())
    assert store.history(ONE, "final") == [] and not (folder / "labels" / "final").exists()


def test_an_image_that_cannot_be_read(corrections: Corrections, store: Store, folder: Path) -> None:
    masks = truth(folder, ONE)
    (folder / f"{ONE}.nii.gz").write_bytes(b"torn")
    with pytest.raises(ImageReadError):
        corrections.save(ONE, masks, save=Save())
    assert store.history(ONE, "final") == []


def test_unknown_images_and_bad_tags(corrections: Corrections, folder: Path) -> None:
    for image_id in ("nobody", "../" + ONE, ""):
        with pytest.raises(UnknownImageError):
            corrections.save(image_id, truth(folder, ONE), save=Save())
    for tag in ("../final", "a/b", ""):
        with pytest.raises(BadNameError):
            corrections.save(ONE, truth(folder, ONE), tag=tag, save=Save())
    assert not (folder / "labels" / "final").exists()


def test_other_tags_do_not_close_the_image(corrections: Corrections, store: Store, folder: Path) -> None:
    saved = corrections.save(ONE, truth(folder, ONE), tag="original", save=Save(author="ann"))
    version = store.history(ONE, "original")[0]
    assert (version.ef_before, version.ef_after) == (None, None)
    assert saved.measurement["sources"][ONE] == "original"
    assert store.image_ids(is_open=True) == list(IMAGES) and store.hand_out("bob") is not None
    corrections.save(ONE, truth(folder, ONE), tag="second-reader", save=Save(author="ann"))
    assert store.counted() == (4, {"original": 1, "second-reader": 1})
    corrections.save(ONE, truth(folder, ONE), save=Save(author="ann"))
    assert ONE not in store.image_ids(is_open=True)


def test_the_model_that_was_served_goes_with_the_version(corrections: Corrections, folder: Path) -> None:
    text = {"name": "another", "version": "2"}
    saved = corrections.save(ONE, truth(folder, ONE), save=Save(model=text))
    assert saved.version.model == text


def test_a_conflict_keeps_both_and_measures_what_is_current(
    corrections: Corrections, store: Store, studies: Studies, folder: Path
) -> None:
    save_all(corrections, folder, author="bob")
    before = PatientReports(studies).patient_json("phantom01")
    with pytest.raises(ConflictError):
        corrections.save(ONE, smaller(truth(folder, ONE)), save=Save(author="ann", base=0))
    assert PatientReports(studies).patient_json("phantom01") == before
    version, file = store.version(ONE, "final", 2)
    assert version.origin is Origin.CONFLICT and version.ef_after is None
    assert np.array_equal(nifti.read_mask(file), smaller(truth(folder, ONE)))
    assert {(reading.annotator, reading.image_id) for reading in corrections.readings()} == {
        ("ann", ONE),
        *(("bob", image_id) for image_id in IMAGES),
    }


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MeasurementError("no long axis"), "no long axis"),
        (ZeroDivisionError("1 / 0 of patient X"), "the measurement failed (ZeroDivisionError)"),
        (MemoryError(), "the measurement failed (MemoryError)"),
    ],
)
@pytest.mark.parametrize("always", [True, False])
def test_what_cannot_be_measured_is_stored_all_the_same(
    corrections: Corrections,
    store: Store,
    studies: Studies,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    reason: str,
    always: bool,
) -> None:
    measure, calls = studies.measure, []

    def fails(patient: str, **named: Any) -> Any:
        calls.append(patient)
        if always or len(calls) > 1:
            raise error
        return measure(patient, **named)

    with monkeypatch.context() as patched, caplog.at_level("INFO"):
        patched.setattr(studies, "measure", fails)
        saved = corrections.save(ONE, truth(folder, ONE), save=Save(author="ann"))
    assert saved.measurement["reason"].startswith(reason) and saved.version.number == 1
    assert store.history(ONE, "final")[0].ef_after is None
    assert (store.history(ONE, "final")[0].ef_before is None) == always
    assert np.array_equal(nifti.read_mask(store.label_path(ONE, "final")), truth(folder, ONE))
    assert "patient X" not in caplog.text and "phantom01" not in caplog.text


def test_a_database_that_fails_after_the_save_does_not_take_it_back(
    corrections: Corrections, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise StoreError("the records cannot be read or written (gone)")

    with monkeypatch.context() as patched:
        patched.setattr(store, "note_measured", fails)
        saved = corrections.save(ONE, truth(folder, ONE), save=Save(author="ann"))
    assert saved.measurement == {"reason": "the records cannot be read or written (gone)"}
    assert store.counted() == (4, {"final": 1})
