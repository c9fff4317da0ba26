"""Import of DICOM files, videos and pictures into a studies folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cardiolabel.datasets.phantom import make_study
from cardiolabel.domain import Clip, Spacing, View
from cardiolabel.errors import DatasetError
from cardiolabel.io import nifti
from cardiolabel.io.dicom_writer import Identity, write_ultrasound
from cardiolabel.io.images import read_image
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.pipeline import import_folder as importing
from cardiolabel.pipeline.import_folder import ImportOptions, import_folder, is_imported, needs_import
from cardiolabel.pipeline.recognised_views import recognised_views
from cardiolabel.records import manifest
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.records.pseudonyms import pseudonym_key
from cardiolabel.records.studies_folder import StudiesFolder
from cardiolabel.system.installation import app_folder
from cardiolabel.system.user_folders import STATE_VARIABLE


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))


@pytest.fixture
def options(tmp_path: Path) -> ImportOptions:
    return ImportOptions(ModelFolders.of(tmp_path / "no models"))


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A cine as DICOM without a suffix, a picture, and a NIfTI image."""
    folder = tmp_path / "export"
    pixels = np.random.default_rng(0).integers(0, 255, (3, 64, 64), dtype=np.uint8)
    clip = Clip(pixels, Spacing(0.5, 0.5), 20.0)
    (folder / "DICOM").mkdir(parents=True)
    write_ultrasound(clip, folder / "DICOM" / "IM0001", Identity("p1"), view=View.A4C)
    Image.fromarray(pixels[0]).save(folder / "p2_2CH_ED.png")
    nifti.write_clip(Clip(pixels[:1], Spacing(0.5, 0.5)), folder / "p3_4CH_ED.nii.gz")
    return folder


def test_into_another_folder_everything_is_written(
    export: Path, tmp_path: Path, options: ImportOptions
) -> None:
    dest = tmp_path / "studies"
    done = import_folder(export, dest, options)
    records = {record.view: record for record in manifest.read(dest)}
    assert done.images == 3 and not done.skipped
    assert len(manifest.read(dest)) == 3 and records[View.A2C].patient == "p2"
    cine = next(record for record in manifest.read(dest) if record.dataset == "dicom")
    assert (cine.view, cine.frame_rate_hz) == (View.A4C, 20.0)
    np.testing.assert_array_equal(
        read_image(cine.path).clip.pixels, read_image(export / "DICOM" / "IM0001").clip.pixels
    )


def test_into_itself_the_originals_stay(export: Path, options: ImportOptions) -> None:
    before = {path: path.read_bytes() for path in export.rglob("*") if path.is_file()}
    assert needs_import(export) and not is_imported(export, options)
    assert import_folder(export, export, options).images == 2
    assert is_imported(export, options)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert len([*export.glob("*.nii.gz")]) == 3


def test_nothing_is_read_again_until_a_file_changes(
    export: Path, options: ImportOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = import_folder(export, export, options)
    with monkeypatch.context() as patch:
        patch.setattr(importing, "place", None)
        assert import_folder(export, export, options) == first
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(export / "p4_4CH_ES.png")
    assert not is_imported(export, options)
    assert import_folder(export, export, options).images == 3


def test_a_size_is_given_to_files_without_one(export: Path, options: ImportOptions) -> None:
    sized = ImportOptions(options.models, mm_per_pixel=0.4)
    import_folder(export, export, sized)
    sizes = {record.dataset: record.mm_per_pixel for record in manifest.read(export)}
    assert sizes == {"dicom": None, "folder": 0.4}


@pytest.mark.skipif(
    not (app_folder() / "model" / "camus.safetensors").exists(), reason="needs the shipped weights"
)
def test_views_that_names_do_not_tell_are_recognised(tmp_path: Path) -> None:
    study = make_study("p", seed=4, shape=(256, 320), spacing=Spacing(0.58, 0.58), cine=False)
    for image in study.images:
        nifti.write_clip(image.clip, tmp_path / f"{image.view}x{image.phase}.nii.gz")
    noise = np.random.default_rng(0).integers(0, 255, (1, 90, 90), dtype=np.uint8)
    nifti.write_clip(Clip(noise, None), tmp_path / "noise.nii.gz")
    records = StudiesFolder(tmp_path).records()
    assert {record.view for record in records} == {View.UNKNOWN}
    views, notes = recognised_views(records, app_folder() / "model")
    assert len(notes) == 5 and "noise" not in views and len(views) >= 2
    assert all(image_id.startswith(view) for image_id, view in views.items())
    shown = {record.image_id: record.view for record in StudiesFolder(tmp_path, views=views).records()}
    assert {image_id: view for image_id, view in shown.items() if view is not View.UNKNOWN} == views


def test_another_size_replaces_the_first(export: Path, options: ImportOptions) -> None:
    import_folder(export, export, options)
    for size in (0.4, 0.3):
        import_folder(export, export, ImportOptions(options.models, mm_per_pixel=size))
        assert {record.mm_per_pixel for record in manifest.read(export)} == {None, size}
        assert is_imported(export, options)  # no size is no other size


def test_patients_keep_the_names_of_the_first_import(export: Path, options: ImportOptions) -> None:
    import_folder(export, export, ImportOptions(options.models, keep_names=True))
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(export / "p4_4CH_ES.png")
    import_folder(export, export, options)
    assert [record.patient for record in manifest.read(export) if record.dataset == "dicom"] == ["p1"]


def test_a_removed_image_stays_removed(export: Path, options: ImportOptions) -> None:
    import_folder(export, export, options)
    (cine,) = (record for record in manifest.read(export) if record.dataset == "dicom")
    cine.path.unlink()
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(export / "p4_4CH_ES.png")
    import_folder(export, export, options)
    assert not cine.path.exists()


def test_a_damaged_note_is_not_ignored(export: Path, options: ImportOptions) -> None:
    import_folder(export, export, options)
    StudiesLayout(export).imported.write_text("{")
    with pytest.raises(DatasetError, match=r"imported\.json"):
        import_folder(export, export, options)


def test_bad_files_cost_only_themselves(export: Path, options: ImportOptions) -> None:
    (export / "p5.png").write_bytes(b"")
    (export / "DICOM" / "IM0002.dcm").write_bytes(b"\0" * 128 + b"DICM\x02")
    done = import_folder(export, export, options)
    assert done.images == 2 and {place for place, _ in done.skipped} == {"DICOM/IM0002.dcm", "p5"}


def test_results_of_a_run_are_no_images(export: Path, options: ImportOptions) -> None:
    results = export / "out"
    (results / "overlays").mkdir(parents=True)
    for name in ("frames.csv", "patients.csv"):
        (results / name).write_text("")
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(results / "overlays" / "p.png")
    assert import_folder(export, export, options).images == 2


def test_the_key_of_pseudonyms_is_private_and_stays(tmp_path: Path) -> None:
    key = pseudonym_key()
    (path,) = (tmp_path / "state").iterdir()
    assert pseudonym_key() == key and path.stat().st_mode & 0o077 == 0


def test_what_was_noted_is_in_the_private_folder(export: Path, options: ImportOptions) -> None:
    import_folder(export, export, options)
    assert StudiesLayout(export).imported.is_file()
