"""Studies folders: bytes, spacing, masks and manifest; twice, interrupted, and from bad files."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from cardiolabel.cli.data import Kind
from cardiolabel.datasets import READERS, camus
from cardiolabel.datasets.prepare import Prepared, prepare
from cardiolabel.domain import Clip, Phase, Spacing, View
from cardiolabel.errors import DatasetError, ManifestError
from cardiolabel.io import metaimage, nifti
from cardiolabel.records import manifest

from ..axis_orders import reordered, save

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
SPACING = Spacing(row_mm=0.154, col_mm=0.308)


def pixels(frames: int = 1, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 255, (frames, 12, 9), np.uint8)


def make_camus(root: Path, patients: int = 2) -> Path:
    """The NIfTI release: stills of two views and a half sequence, all with masks."""
    for number in range(1, patients + 1):
        patient = f"patient{number:04d}"
        folder = root / patient
        folder.mkdir(parents=True)
        for seed, end in enumerate(("2CH_ED", "2CH_ES", "4CH_ED", "4CH_ES", "4CH_half_sequence")):
            clip = Clip(pixels(3 if "sequence" in end else 1, 10 * number + seed), SPACING)
            nifti.write_clip(clip, folder / f"{patient}_{end}.nii.gz")
            nifti.write_mask(clip.pixels % 4, folder / f"{patient}_{end}_gt.nii.gz", spacing=SPACING)
        (folder / "Info_4CH.cfg").write_text("ED: 3\nES: 1\nNbFrame: 3\nEF: 54\nFrameRate: 50\n")
    return root


def save_mhd(path: Path, array: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((SPACING.col_mm, SPACING.row_mm, 1.54))
    sitk.WriteImage(image, str(path))
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def row_col_mm(clip: Clip) -> tuple[float, float]:
    assert clip.spacing is not None
    return clip.spacing.row_mm, clip.spacing.col_mm


def test_camus_images_are_copied_byte_for_byte(tmp_path: Path) -> None:
    source, dest = make_camus(tmp_path / "camus"), tmp_path / "studies"
    assert prepare("camus", source, dest) == Prepared(images=10, labels=10, skipped=())
    name = "patient0001_4CH_half_sequence"
    assert (dest / f"{name}.nii.gz").read_bytes() == (source / f"patient0001/{name}.nii.gz").read_bytes()
    label, reference = dest / "labels" / "final" / f"{name}.nii.gz", source / f"patient0001/{name}_gt.nii.gz"
    np.testing.assert_array_equal(nifti.read_mask(label), nifti.read_mask(reference))
    np.testing.assert_allclose(nifti.read(label).grid.affine, nifti.read(dest / f"{name}.nii.gz").grid.affine)
    assert len(content(dest)) == 10 + 10 + 1


def test_the_manifest_holds_what_the_dataset_knows(tmp_path: Path) -> None:
    source, dest = make_camus(tmp_path / "camus"), tmp_path / "studies"
    prepare("camus", source, dest)
    rows = manifest.scan(dest, strict=True)
    assert rows == camus.listing(source).records
    assert all(row.path == dest / f"{row.image_id}.nii.gz" for row in rows)
    cine = next(row for row in rows if row.phase is Phase.CINE)
    assert (cine.view, cine.ed_frame, cine.es_frame, cine.frame_rate_hz) == (View.A4C, 3, 1, 50.0)


def test_the_original_release_is_converted_with_its_spacing(tmp_path: Path) -> None:
    source, dest = tmp_path / "mhd", tmp_path / "studies"
    clip = pixels(4)
    save_mhd(source / "patient0001" / "patient0001_4CH_sequence.mhd", clip)
    save_mhd(source / "patient0001" / "patient0001_4CH_sequence_gt.mhd", clip % 4)
    save_mhd(source / "patient0001" / "patient0001_4CH_ED.mhd", clip[:1])
    done = prepare("camus-mhd", source, dest)
    assert (done.images, done.labels, [patient for patient, _ in done.skipped]) == (2, 1, ["patient0001"])
    back = nifti.read(dest / "patient0001_4CH_sequence.nii.gz").clip
    np.testing.assert_array_equal(back.pixels, clip)
    assert row_col_mm(back) == pytest.approx((0.154, 0.308))
    label = dest / "labels" / "final" / "patient0001_4CH_sequence.nii.gz"
    np.testing.assert_array_equal(nifti.read_mask(label), clip % 4)
    assert row_col_mm(nifti.read(label).clip) == pytest.approx((0.154, 0.308))
    assert nifti.read(dest / "patient0001_4CH_ED.nii.gz").clip.shape == (1, 12, 9)


def test_a_file_without_calibration_gets_none(tmp_path: Path) -> None:
    path = save_mhd(tmp_path / "in" / "a.mhd", pixels())
    text = path.read_text()
    path.write_text("".join(line for line in text.splitlines(True) if "Spacing" not in line))
    for _ in range(2):
        assert prepare("folder", tmp_path / "in", tmp_path / "out").images == 1
    assert nifti.read(tmp_path / "out" / "a.nii.gz").clip.spacing is None


def test_plain_nifti_is_compressed_with_its_header(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    affine = np.array([[0, 0.3, 0, 5], [-0.2, 0, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(pixels()[0], affine), tmp_path / "in" / "a.nii")
    nib.save(nib.Nifti1Image(pixels()[0] % 2, affine), tmp_path / "in" / "a_gt.nii")
    assert prepare("folder", tmp_path / "in", tmp_path / "out") == Prepared(1, 1, ())
    written = (tmp_path / "out" / "a.nii.gz").read_bytes()
    assert gzip.decompress(written) == (tmp_path / "in" / "a.nii").read_bytes()


@pytest.mark.parametrize("image", ["a.nii.gz", "a.nii", "a.mha"])
@pytest.mark.parametrize("mask", ["a_gt.nii.gz", "a_gt.nii", "a_gt.mha"])
def test_masks_of_any_format_lie_on_their_image_s_pixels(tmp_path: Path, image: str, mask: str) -> None:
    source, dest = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name, array in ((image, pixels(3)), (mask, pixels(3) % 4)):
        if name.endswith(".mha"):
            save_mhd(source / name, array)
        else:
            nifti.write_clip(Clip(array, SPACING), source / name)
    assert prepare("folder", source, dest) == Prepared(1, 1, ())
    np.testing.assert_array_equal(nifti.read(dest / "a.nii.gz").clip.pixels, pixels(3))
    label = dest / "labels" / "final" / "a.nii.gz"
    np.testing.assert_array_equal(nifti.read_mask(label), pixels(3) % 4)
    assert row_col_mm(nifti.read(label).clip) == pytest.approx((0.154, 0.308))


def test_twice_changes_nothing(tmp_path: Path) -> None:
    source, dest = make_camus(tmp_path / "camus"), tmp_path / "studies"
    save_mhd(source / "patient0001" / "ignored.mhd", pixels())
    first = prepare("camus", source, dest)
    before = content(dest)
    times = {path: path.stat().st_mtime_ns for path in dest.rglob("*.nii.gz")}
    assert prepare("camus", source, dest) == first
    assert content(dest) == before
    assert {path: path.stat().st_mtime_ns for path in dest.rglob("*.nii.gz")} == times


def test_converted_images_are_not_written_twice_either(tmp_path: Path) -> None:
    save_mhd(tmp_path / "in" / "a.mhd", pixels())
    save_mhd(tmp_path / "in" / "b.mha", pixels(3))
    for _ in range(2):
        assert prepare("folder", tmp_path / "in", tmp_path / "out") == Prepared(2, 0, ())
        times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.nii.gz")}
    assert prepare("folder", tmp_path / "in", tmp_path / "out") == Prepared(2, 0, ())
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.nii.gz")} == times


def test_an_interrupted_run_is_completed(tmp_path: Path) -> None:
    source = make_camus(tmp_path / "camus")

    def stop(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare("camus", source, tmp_path / "studies", progress=stop)
    (tmp_path / "studies" / "patient0001_2CH_ED.nii.gz").write_bytes(b"half of a fi")
    prepare("camus", source, tmp_path / "studies")
    prepare("camus", source, tmp_path / "whole")
    assert content(tmp_path / "studies") == content(tmp_path / "whole")


def test_corrections_and_edits_survive(tmp_path: Path) -> None:
    source, dest = make_camus(tmp_path / "camus"), tmp_path / "studies"
    prepare("camus", source, dest)
    label = dest / "labels" / "final" / "patient0001_2CH_ED.nii.gz"
    label.write_bytes(b"a correction")
    table = dest / "manifest.csv"
    table.write_text(table.read_text().replace("patient0002_2CH_ED,patient0002", "renamed,somebody"))
    assert prepare("camus", source, dest) == Prepared(10, 10, ())
    assert label.read_bytes() == b"a correction"
    rows = {row.image_id: row for row in manifest.read(dest)}
    assert rows["renamed"].patient == "somebody" and len(rows) == 10


def test_two_datasets_share_a_folder_but_never_an_image(tmp_path: Path) -> None:
    dest = tmp_path / "studies"
    prepare("camus", make_camus(tmp_path / "camus", patients=1), dest)
    before = (dest / "patient0001_4CH_ED.nii.gz").read_bytes()
    save_mhd(tmp_path / "mhd" / "patient0001" / "patient0001_4CH_ED.mhd", pixels(seed=99))
    save_mhd(tmp_path / "mhd" / "patient0002" / "patient0002_4CH_ED.mhd", pixels(seed=98))
    report = prepare("camus-mhd", tmp_path / "mhd", dest)
    assert (report.images, report.labels) == (1, 0)
    assert "there already" in dict(report.skipped)["patient0001_4CH_ED"]
    assert (dest / "patient0001_4CH_ED.nii.gz").read_bytes() == before
    assert len(manifest.read(dest)) == 6


def test_the_same_pixels_at_another_size_are_another_image(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    nifti.write_clip(Clip(pixels(), SPACING), tmp_path / "a" / "x.nii.gz")
    nifti.write_clip(Clip(pixels(), Spacing(row_mm=0.3, col_mm=0.3)), tmp_path / "b" / "x.nii.gz")
    prepare("folder", tmp_path / "a", tmp_path / "out")
    assert prepare("folder", tmp_path / "b", tmp_path / "out").images == 0


def test_a_bad_image_costs_itself_and_a_bad_mask_only_the_mask(tmp_path: Path) -> None:
    source, dest = make_camus(tmp_path / "camus"), tmp_path / "studies"
    first = source / "patient0001"
    image, mask = first / "patient0001_2CH_ED.nii.gz", first / "patient0001_2CH_ES_gt.nii.gz"
    image.write_bytes(image.read_bytes()[:100])
    nifti.write_mask(np.zeros((1, 9, 12), np.uint8), mask, spacing=SPACING)
    (first / "patient0001_4CH_ED_gt.nii.gz").write_bytes(b"")
    report = prepare("camus", source, dest)
    assert (report.images, report.labels) == (9, 7)
    reasons = dict(report.skipped)
    assert list(reasons) == ["patient0001_2CH_ED", "patient0001_2CH_ES", "patient0001_4CH_ED"]
    assert "patient0001_2CH_ED.nii.gz" in reasons["patient0001_2CH_ED"]
    assert "lies elsewhere than its image" in reasons["patient0001_2CH_ES"]
    assert "patient0001_4CH_ED_gt.nii.gz" in reasons["patient0001_4CH_ED"]
    assert not (dest / "patient0001_2CH_ED.nii.gz").exists()
    assert len(manifest.scan(dest, strict=True)) == 9
    assert len(list((dest / "labels" / "final").iterdir())) == 7


def test_nothing_usable_leaves_an_empty_manifest(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.nii.gz").write_bytes(b"")
    report = prepare("folder", tmp_path / "in", tmp_path / "out")
    assert (report.images, report.labels, len(report.skipped)) == (0, 0, 1)
    assert manifest.read(tmp_path / "out") == []


def test_the_source_is_only_read(tmp_path: Path) -> None:
    source = make_camus(tmp_path / "camus")
    before = content(source)
    prepare("camus", source, tmp_path / "studies")
    assert content(source) == before


def test_read_only_sources_give_writable_copies(tmp_path: Path) -> None:
    source, dest = make_camus(tmp_path / "camus", patients=1), tmp_path / "studies"
    for path in source.rglob("*.nii.gz"):
        path.chmod(0o444)
    prepare("camus", source, dest)
    assert all(path.stat().st_mode & 0o200 for path in dest.rglob("*.nii.gz"))


def test_progress_counts_every_image_once(tmp_path: Path) -> None:
    source = make_camus(tmp_path / "camus")
    (source / "patient0001" / "patient0001_2CH_ED.nii.gz").write_bytes(b"")
    calls: list[tuple[int, int]] = []
    prepare("camus", source, tmp_path / "studies", progress=lambda done, total: calls.append((done, total)))
    assert calls == [(number, 10) for number in range(1, 11)]


@pytest.mark.parametrize("inside", [".", "studies", "patient0001/x", "../camus/studies"])
def test_a_studies_folder_inside_its_source_is_refused(tmp_path: Path, inside: str) -> None:
    source = make_camus(tmp_path / "camus")
    before = content(source)
    with pytest.raises(DatasetError, match="inside"):
        prepare("camus", source, source / inside)
    assert content(source) == before
    assert not (source / "studies").exists()


def test_a_link_into_the_source_is_inside_it_too(tmp_path: Path) -> None:
    source = make_camus(tmp_path / "camus")
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(DatasetError, match="inside"):
        prepare("camus", source, tmp_path / "link" / "studies")


def test_unknown_dataset_wrong_layout_and_impossible_folder(tmp_path: Path) -> None:
    source = make_camus(tmp_path / "camus")
    with pytest.raises(DatasetError, match="expected one of camus, camus-mhd, folder"):
        prepare("kamus", source, tmp_path / "studies")
    with pytest.raises(DatasetError, match=r"4CH_ED\.mhd"):
        prepare("camus-mhd", source, tmp_path / "studies")
    assert not (tmp_path / "studies").exists()
    (tmp_path / "file").touch()
    for dest in (tmp_path / "file", tmp_path / "file" / "studies"):
        with pytest.raises(DatasetError, match="cannot be made"):
            prepare("camus", source, dest)


def test_a_malformed_manifest_is_met_before_anything_is_written(tmp_path: Path) -> None:
    dest = tmp_path / "studies"
    dest.mkdir()
    (dest / "manifest.csv").write_text("nonsense")
    with pytest.raises(ManifestError):
        prepare("camus", make_camus(tmp_path / "camus"), dest)
    assert [path.name for path in dest.iterdir()] == ["manifest.csv"]


def test_a_full_disk_is_not_a_skipped_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(shutil, "copyfile", full_disk)
    with pytest.raises(OSError, match="no space"):
        prepare("camus", make_camus(tmp_path / "camus"), tmp_path / "studies")


def test_every_registered_reader_is_a_kind_of_the_command() -> None:
    assert set(READERS) | {"dicom", "video"} == {kind.value for kind in Kind}


@pytest.mark.skipif(not (SHARED / "camus_mhd").is_dir(), reason="CAMUS (.mhd) is not in ../shared/data")
def test_the_real_original_release(tmp_path: Path) -> None:
    source = SHARED / "camus_mhd"
    assert prepare("camus-mhd", source, tmp_path) == Prepared(images=4, labels=4, skipped=())
    name = "patient0001_4CH_ES"
    original = metaimage.read(source / "patient0001" / f"{name}.mhd").clip
    copy = nifti.read(tmp_path / f"{name}.nii.gz").clip
    np.testing.assert_array_equal(copy.pixels, original.pixels)
    assert row_col_mm(copy) == pytest.approx((0.154, 0.308))


@pytest.mark.skipif(not (SHARED / "camus").is_dir(), reason="CAMUS is not in ../shared/data")
def test_a_few_real_patients(tmp_path: Path) -> None:
    source = tmp_path / "camus"
    source.mkdir()
    for patient in ("patient0001", "patient0185"):
        (source / patient).symlink_to(SHARED / "camus" / "database_nifti" / patient)
    assert prepare("camus", source, tmp_path / "studies") == Prepared(images=8, labels=8, skipped=())
    assert {row.patient for row in manifest.scan(tmp_path / "studies")} == {"patient0001", "patient0185"}


def test_a_stack_from_metaimage_keeps_the_distance_between_its_slices(tmp_path: Path) -> None:
    affine = np.array([[0, -1.5, 0, 4], [1.5, 0, 0, 5], [0, 0, 8, 6], [0, 0, 0, 1.0]])
    voxels = (np.arange(7 * 6 * 3).reshape(7, 6, 3) % 4).astype(np.uint8)
    save(voxels * 60, affine, tmp_path / "in" / "p_SAX_ED.mha")
    save(*reordered(voxels, affine, ((1, 0, 2), (-1, 1, -1))), tmp_path / "in" / "p_SAX_ED_gt.nii.gz")
    assert prepare("folder", tmp_path / "in", tmp_path / "out") == Prepared(1, 1, ())
    image = nifti.read(tmp_path / "out" / "p_SAX_ED.nii.gz")
    np.testing.assert_allclose(image.grid.affine, affine, atol=1e-6)
    assert image.grid.slice_spacing_mm == pytest.approx(8.0)
    labels = nifti.read_mask(tmp_path / "out" / "labels" / "final" / "p_SAX_ED.nii.gz")
    np.testing.assert_array_equal(labels * 60, image.clip.pixels)
