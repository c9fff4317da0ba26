"""ACDC: generated releases whole and broken, headers as they are, and the real one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from cardiolabel.datasets import acdc
from cardiolabel.datasets.prepare import Prepared, prepare
from cardiolabel.domain import ACDC_LABELS, Phase, Record, View
from cardiolabel.errors import DatasetError
from cardiolabel.io import nifti
from cardiolabel.measurements.study import measure_study
from cardiolabel.records import manifest
from cardiolabel.studies.predicted import masked_image

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "acdc"
CFG = "ED: 1\nES: 12\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n"
SHAPE = (10, 9, 4)  # x, y, z

real_data = pytest.mark.skipif(not REAL.is_dir(), reason="ACDC is not in ../shared/data")


def save(path: Path, array: NDArray[Any]) -> None:
    """As the release does: sizes in pixdim only, an identity for an affine, and no unit."""
    image = nib.Nifti1Image(array, np.eye(4))
    image.header.set_zooms((1.5, 1.25, 8.0))
    image.header.set_sform(np.eye(4), code=2)
    image.header.set_qform(None, code=0)
    image.header.set_xyzt_units("unknown")
    nib.save(image, path)


def make(root: Path, patient: str = "patient001", *, masks: bool = True) -> Path:
    folder = root / patient
    folder.mkdir(parents=True)
    (folder / "Info.cfg").write_text(CFG)
    for frame, fill in ((1, 6), (12, 3)):
        pixels = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.int16) + frame
        mask = np.zeros(SHAPE, np.uint8)
        mask[1:-1, 1:-1, 1:3] = ACDC_LABELS.value("myocardium")
        mask[2 : 2 + fill, 2:5, 1:3] = ACDC_LABELS.value("lv_cavity")
        save(folder / f"{patient}_frame{frame:02d}.nii.gz", pixels)
        if masks:
            save(folder / f"{patient}_frame{frame:02d}_gt.nii.gz", mask)
    return folder


def ef_pct(dest: Path, patient: str) -> float | None:
    records = [record for record in manifest.scan(dest, strict=True) if record.patient == patient]
    images = []
    for record in records:
        masks = nifti.read_mask(dest / "labels" / "final" / record.path.name)
        images.append(masked_image(record, masks, nifti.read(record.path).grid, ACDC_LABELS))
    return measure_study(images).rows[0].ef_pct


def test_ed_and_es_are_the_frames_that_the_cfg_names(tmp_path: Path) -> None:
    make(tmp_path / "training")
    records = acdc.listing(tmp_path).records
    assert [record.image_id for record in records] == ["patient001_SAX_ED", "patient001_SAX_ES"]
    assert records[1] == Record(
        "patient001_SAX_ES", "patient001", View.SAX, Phase.ES, "acdc", Path("x"), split="TRAIN"
    )


@pytest.mark.parametrize("nested", ["", "database"])
def test_the_split_is_the_folder(tmp_path: Path, nested: str) -> None:
    make(tmp_path / nested / "training")
    make(tmp_path / nested / "testing", "patient101")
    splits = {record.patient: record.split for record in acdc.listing(tmp_path).records}
    assert splits == {"patient001": "TRAIN", "patient101": "TEST"}


@pytest.mark.parametrize(("folder", "split"), [("testing", "TEST"), ("mine", None)])
def test_one_part_by_itself(tmp_path: Path, folder: str, split: str | None) -> None:
    make(tmp_path / folder)
    assert {record.split for record in acdc.listing(tmp_path / folder).records} == {split}


def test_prepared_files_say_their_size_in_mm(tmp_path: Path) -> None:
    folder = make(tmp_path / "acdc" / "training")
    assert prepare("acdc", tmp_path / "acdc", tmp_path / "studies") == Prepared(2, 2, ())
    image = nib.load(tmp_path / "studies" / "patient001_SAX_ED.nii.gz")
    assert image.shape == SHAPE and image.get_data_dtype() == np.int16
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(np.linalg.norm(image.affine[:3, :3], axis=0), (1.5, 1.25, 8.0))
    original = nib.load(folder / "patient001_frame01.nii.gz")
    np.testing.assert_array_equal(np.asarray(image.dataobj), np.asarray(original.dataobj))
    label = nib.load(tmp_path / "studies" / "labels" / "final" / "patient001_SAX_ED.nii.gz")
    np.testing.assert_array_equal(label.affine, image.affine)
    assert set(np.unique(np.asarray(label.dataobj))) == {0, 2, 3}


def test_ef_of_the_prepared_masks(tmp_path: Path) -> None:
    make(tmp_path / "acdc" / "training")
    prepare("acdc", tmp_path / "acdc", tmp_path / "studies")
    assert ef_pct(tmp_path / "studies", "patient001") == pytest.approx(50)


def test_twice_changes_nothing(tmp_path: Path) -> None:
    make(tmp_path / "acdc" / "training")
    first = prepare("acdc", tmp_path / "acdc", tmp_path / "studies")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "studies").rglob("*.nii.gz")}
    assert prepare("acdc", tmp_path / "acdc", tmp_path / "studies") == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "studies").rglob("*.nii.gz")} == before


def test_info_of_a_file(tmp_path: Path) -> None:
    info = acdc.read_info(make(tmp_path) / "Info.cfg")
    assert info == acdc.PatientInfo(1, 12, 30, "DCM", 184.0, 95.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (CFG.replace("ES: 12\n", ""), r"Info\.cfg: no ES; expected a line 'ES: '"),
        (CFG.replace("ES: 12", "ES: 31"), r"line 2: ES is '31'; expected a frame number, 1 to 30"),
        (CFG.replace("ED: 1", "ED: first"), r"line 1: ED is 'first'"),
        (CFG.replace("Height: 184.0", "Height: 1.84"), r"line 4: Height is '1\.84'; expected a height in cm"),
        ("", "empty"),
    ],
)
def test_a_patient_with_a_broken_cfg_is_skipped_and_the_rest_goes_on(
    tmp_path: Path, text: str, says: str
) -> None:
    (make(tmp_path / "acdc" / "training") / "Info.cfg").write_text(text)
    make(tmp_path / "acdc" / "training", "patient002")
    report = prepare("acdc", tmp_path / "acdc", tmp_path / "studies")
    assert (report.images, report.labels) == (2, 2)
    assert [name for name, _ in report.skipped] == ["patient001"]
    assert re.search(says, report.skipped[0][1])


@pytest.mark.parametrize(
    ("lost", "images", "labels", "skipped", "says"),
    [
        ("Info.cfg", 0, 0, "patient001", "Info.cfg: missing; download the patient again"),
        ("patient001_frame12.nii.gz", 1, 1, "patient001_SAX_ES", "frame12.nii.gz: missing, though Info.cfg"),
        ("patient001_frame12_gt.nii.gz", 2, 1, "patient001_SAX_ES", "frame 12 as ES; download the patient"),
    ],
)
def test_partial_downloads_say_what_is_missing(
    tmp_path: Path, lost: str, images: int, labels: int, skipped: str, says: str
) -> None:
    (make(tmp_path / "acdc" / "training") / lost).unlink()
    report = prepare("acdc", tmp_path / "acdc", tmp_path / "studies")
    assert (report.images, report.labels) == (images, labels)
    assert report.skipped[0][0] == skipped and says in report.skipped[0][1]


def test_truncated_files_and_foreign_values_cost_themselves_only(tmp_path: Path) -> None:
    folder = make(tmp_path / "acdc" / "training")
    image, mask = folder / "patient001_frame01.nii.gz", folder / "patient001_frame12_gt.nii.gz"
    image.write_bytes(image.read_bytes()[:200])
    save(mask, np.full(SHAPE, 4, np.uint8))
    report = prepare("acdc", tmp_path / "acdc", tmp_path / "studies")
    reasons = dict(report.skipped)
    assert (report.images, report.labels) == (1, 0)
    assert "patient001_frame01.nii.gz" in reasons["patient001_SAX_ED"]
    assert "label values 4 are unknown" in reasons["patient001_SAX_ES"]


def test_a_mask_of_another_shape_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "acdc" / "training")
    save(folder / "patient001_frame01_gt.nii.gz", np.zeros((10, 9, 3), np.uint8))
    report = prepare("acdc", tmp_path / "acdc", tmp_path / "studies")
    assert "3 frames of 9 x 10 pixels, the image has 4 frames" in dict(report.skipped)["patient001_SAX_ED"]


def test_a_testing_part_without_any_masks_is_whole(tmp_path: Path) -> None:
    make(tmp_path / "acdc" / "testing", masks=False)
    assert prepare("acdc", tmp_path / "acdc", tmp_path / "studies") == Prepared(2, 0, ())


def test_a_training_part_without_masks_is_not(tmp_path: Path) -> None:
    make(tmp_path / "acdc" / "training", masks=False)
    report = prepare("acdc", tmp_path / "acdc", tmp_path / "studies")
    assert (report.images, report.labels, len(report.skipped)) == (2, 0, 2)


@pytest.mark.parametrize("content", ["missing", "empty", "other"])
def test_another_layout_is_named_with_what_was_expected(tmp_path: Path, content: str) -> None:
    root, result = tmp_path / "root", "found nothing"
    if content == "missing":
        result = "no such folder"
    else:
        root.mkdir()
    if content == "other":
        (root / "a.dcm").touch()
        result = r"found a\.dcm"
    with pytest.raises(DatasetError, match=result + r".*training/patient001/patient001_frame01\.nii\.gz"):
        acdc.listing(root)


@real_data
def test_the_real_release() -> None:
    listing = acdc.listing(REAL)
    assert len(listing.entries) == 100 and not listing.problems
    assert {record.split for record in listing.records} == {"TRAIN"}


@real_data
def test_real_sizes_are_pixdim_s_and_not_the_affine_s() -> None:
    path = REAL / "training" / "patient043" / "patient043_frame01.nii.gz"
    np.testing.assert_array_equal(np.abs(nib.load(path).affine[:3, :3]), np.eye(3))
    stack = acdc.read_stack(path)
    assert (stack.spacing.row_mm, stack.spacing.col_mm) == pytest.approx((1.91964, 1.91964))
    assert stack.slice_spacing_mm == pytest.approx(6.5)


@real_data
@pytest.mark.parametrize(("patient", "low", "high"), [("patient001", 20, 27), ("patient061", 50, 80)])
def test_real_patients_measure_as_their_group_would(
    tmp_path: Path, patient: str, low: float, high: float
) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / patient).symlink_to(REAL / "training" / patient)
    assert prepare("acdc", tmp_path, tmp_path.with_name("studies")) == Prepared(2, 2, ())
    ef = ef_pct(tmp_path.with_name("studies"), patient)
    assert ef is not None and low < ef < high
