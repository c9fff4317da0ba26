"""CAMUS, NIfTI release: generated layouts, configuration files good and bad, and the real one."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest

from cardiolabel.datasets import camus
from cardiolabel.datasets.folder import reference_path
from cardiolabel.domain import Convention, Phase, View
from cardiolabel.errors import DatasetError
from cardiolabel.io import nifti

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "camus"
CFG = "ED: 11\nES: 1\nNbFrame: 11\nSex: M\nAge: 65\nImageQuality: Medium\nEF: 9\nFrameRate: 56.5\n"
WORDS = ("ED", "ES", "half_sequence")

real_data = pytest.mark.skipif(not REAL.is_dir(), reason="CAMUS is not in ../shared/data")


def make(root: Path, patient: str = "patient0001", views: tuple[str, ...] = ("2CH", "4CH")) -> Path:
    """Empty image files in the release's layout: no reader of records opens them."""
    folder = root / patient
    folder.mkdir(parents=True)
    for view in views:
        for word in WORDS:
            (folder / f"{patient}_{view}_{word}.nii.gz").touch()
            (folder / f"{patient}_{view}_{word}_gt.nii.gz").touch()
        (folder / f"Info_{view}.cfg").write_text(CFG)
    return folder


def test_stills_and_half_sequences_of_both_views(tmp_path: Path) -> None:
    make(tmp_path)
    records = camus.listing(tmp_path).records
    assert [item.image_id for item in records] == [
        f"patient0001_{view}_{word}" for view in ("2CH", "4CH") for word in WORDS
    ]
    assert [item.view for item in records] == [View.A2C] * 3 + [View.A4C] * 3
    assert [item.phase for item in records] == [Phase.ED, Phase.ES, Phase.CINE] * 2
    assert {item.patient for item in records} == {"patient0001"}
    assert {item.dataset for item in records} == {"camus"}
    assert all(item.path.is_file() for item in records)


def test_es_may_come_before_ed(tmp_path: Path) -> None:
    make(tmp_path)
    cine = next(item for item in camus.listing(tmp_path).records if item.phase is Phase.CINE)
    assert (cine.ed_frame, cine.es_frame, cine.frame_rate_hz) == (11, 1, 56.5)


def test_frame_numbers_belong_to_cines_and_facts_to_all(tmp_path: Path) -> None:
    make(tmp_path)
    still = camus.listing(tmp_path).records[0]
    assert (still.ed_frame, still.es_frame, still.frame_rate_hz) == (None, None, None)
    assert (still.sex, still.age_years, still.image_quality) == ("M", 65, "Medium")
    assert (still.reference_ef_pct, still.reference_convention) == (9.0, Convention.CAMUS)


def test_the_patient_s_facts_serve_a_view_without_a_configuration_file(tmp_path: Path) -> None:
    (make(tmp_path) / "Info_4CH.cfg").unlink()
    cine = camus.listing(tmp_path).records[-1]
    assert (cine.view, cine.phase) == (View.A4C, Phase.CINE)
    assert (cine.sex, cine.age_years, cine.reference_ef_pct) == ("M", 65, 9.0)
    assert (cine.ed_frame, cine.es_frame, cine.frame_rate_hz, cine.image_quality) == (None,) * 4


def test_a_view_s_own_facts_come_first(tmp_path: Path) -> None:
    (make(tmp_path) / "Info_4CH.cfg").write_text(CFG.replace("EF: 9", "EF: 0").replace("Age: 65", "Age: 0"))
    last = camus.listing(tmp_path).records[-1]
    assert (last.reference_ef_pct, last.age_years) == (0.0, 0)


def test_without_configuration_files_fields_are_none(tmp_path: Path) -> None:
    folder = make(tmp_path)
    for path in folder.glob("*.cfg"):
        path.unlink()
    for item in camus.listing(tmp_path).records:
        assert (item.ed_frame, item.es_frame, item.frame_rate_hz, item.sex, item.age_years) == (None,) * 5
        assert (item.image_quality, item.reference_ef_pct, item.reference_convention) == (None,) * 3


def test_missing_files_and_views_are_left_out_and_named(tmp_path: Path) -> None:
    (make(tmp_path, "patient0001") / "patient0001_4CH_ES.nii.gz").unlink()
    make(tmp_path, "patient0002", views=("2CH",))
    (tmp_path / "patient0003").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "patient0004").touch()
    result = camus.listing(tmp_path)
    ids = [item.image_id for item in result.records]
    assert len(ids) == 5 + 3
    assert "patient0001_4CH_ES" not in ids
    reasons = dict(result.problems)
    assert reasons.keys() == {"patient0001", "patient0002", "patient0003"}
    assert reasons["patient0001"].startswith("1 stills missing, the first is patient0001_4CH_ES.nii.gz")
    assert reasons["patient0003"].startswith("4 stills missing")


def test_the_folder_above_database_nifti_will_do(tmp_path: Path) -> None:
    make(tmp_path / "database_nifti")
    assert camus.listing(tmp_path).records == camus.listing(tmp_path / "database_nifti").records


def test_reference_masks_lie_beside_their_images(tmp_path: Path) -> None:
    folder = make(tmp_path)
    (folder / "patient0001_2CH_ED_gt.nii.gz").unlink()
    masks = [reference_path(item) for item in camus.listing(tmp_path).records]
    assert masks[0] is None
    assert masks[2] == folder / "patient0001_2CH_half_sequence_gt.nii.gz"


@pytest.mark.parametrize(
    "content", ["missing", "empty", "other", "a file", "one patient", "mhd", "no images"]
)
def test_another_layout_is_named_with_what_was_expected(tmp_path: Path, content: str) -> None:
    root, result = tmp_path / "root", "found"
    if content == "missing":
        result = "no such folder"
    elif content == "a file":
        root.touch()
        result = "no such folder"
    elif content == "one patient":
        root, result = make(root), "patient0001_2CH_ED"
    else:
        root.mkdir()
    if content == "other":
        (root / "dicom.dcm").touch()
        result = r"found dicom\.dcm"
    if content == "mhd":
        (root / "patient0001").mkdir()
        (root / "patient0001" / "patient0001_4CH_ED.mhd").touch()
        result = r"found patient0001_4CH_ED\.mhd"
    if content == "no images":
        (root / "patient0001").mkdir()
    if content in ("empty", "no images"):
        result = "found nothing"
    with pytest.raises(DatasetError, match=result) as caught:
        camus.listing(root)
    assert "patient0001/patient0001_4CH_ED.nii.gz" in str(caught.value)
    assert str(root) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (CFG.replace("ED: 11", "ED 11"), 1, "ED: 1"),
        (CFG.replace("ED: 11", ": 11"), 1, "ED: 1"),
        (CFG.replace("ED: 11", "ED: 12"), 1, "1 to 11"),
        (CFG.replace("ES: 1", "ES: 0"), 2, "1 to 11"),
        (CFG.replace("ES: 1\n", "ES: 1.5\n"), 2, "1 to 11"),
        (CFG.replace("NbFrame: 11", "NbFrame: many"), 3, "number of frames"),
        (CFG.replace("NbFrame: 11", "NbFrame: 0"), 3, "number of frames"),
        (CFG.replace("Age: 65", "Age: -3"), 5, "whole years"),
        (CFG.replace("Age: 65", "Age: inf"), 5, "whole years"),
        (CFG.replace("EF: 9", "EF: 110"), 7, "percentage"),
        (CFG.replace("EF: 9", "EF: nan"), 7, "percentage"),
        (CFG.replace("FrameRate: 56.5", "FrameRate: 0"), 8, "frames per second"),
        (CFG + "\nED: 3\n", 10, "second ED"),
        ("", 1, "empty"),
        (" \n\n", 1, "empty"),
    ],
)
def test_a_malformed_configuration_file_is_named_by_line_and_costs_its_facts_only(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    (make(tmp_path) / "Info_2CH.cfg").write_text(text)
    result = camus.listing(tmp_path)
    ((patient, reason),) = result.problems
    assert patient == "patient0001"
    assert re.search(rf"Info_2CH\.cfg, line {line}: .*{says}", reason)
    assert len(result.records) == 6
    assert {item.sex for item in result.records} == {"M"}  # the other view's


def test_a_configuration_file_that_is_not_text(tmp_path: Path) -> None:
    (make(tmp_path) / "Info_2CH.cfg").write_bytes(CFG.encode() + b"\xff\xfe")
    ((_, reason),) = camus.listing(tmp_path).problems
    assert "line 9: expected plain text" in reason


def test_configuration_files_as_people_leave_them(tmp_path: Path) -> None:
    path = tmp_path / "Info_2CH.cfg"
    path.write_bytes(b"\xef\xbb\xbfED : 3\r\n\r\n ES:7 \r\nAge: 65.0\r\nSex:\r\nView: 2CH: apical\r\n")
    info = camus.read_info(path, "EF")
    assert info == camus.ViewInfo(ed_frame=3, es_frame=7, age_years=65)


@real_data
def test_the_real_release_is_listed_at_once() -> None:
    start = time.perf_counter()
    records = camus.listing(REAL).records
    assert time.perf_counter() - start < 5
    assert len(records) == 1796
    assert len({item.patient for item in records}) == 449
    assert all(reference_path(item) is not None for item in records)
    assert all(item.reference_convention is Convention.CAMUS for item in records)


@real_data
def test_the_real_patient_whose_es_comes_first() -> None:
    info = camus.read_info(REAL / "database_nifti" / "patient0185" / "Info_2CH.cfg", "EF")
    assert (info.ed_frame, info.es_frame, info.frames, info.ef_pct) == (11, 1, 11, 9.0)
    assert len([item for item in camus.listing(REAL).records if item.patient == "patient0185"]) == 4


@real_data
@pytest.mark.parametrize("patient", ["patient0001", "patient0185", "patient0500"])
def test_real_images_and_masks_fit(patient: str) -> None:
    for item in [item for item in camus.listing(REAL).records if item.patient == patient]:
        image, mask = nifti.read(item.path), reference_path(item)
        assert mask is not None
        masks = nifti.read_mask(mask)
        assert masks.shape == image.clip.shape
        assert set(np.unique(masks)) == {0, 1, 2, 3}
        spacing = image.clip.spacing
        assert spacing is not None
        depth_mm = spacing.row_mm * image.clip.shape[1]
        assert 80 < depth_mm < 300


def test_the_official_split_is_taken_from_its_lists(tmp_path: Path) -> None:
    images, lists = tmp_path / "database_nifti", tmp_path / "database_split"
    lists.mkdir()
    for number, name in ((1, "training"), (2, "validation"), (3, "testing"), (4, None)):
        make(images, f"patient000{number}")
        if name:
            (lists / f"subgroup_{name}.txt").write_text(f"patient000{number}\n")
    for root in (tmp_path, images):
        result = {item.patient: item.split for item in camus.listing(root).records}
        assert list(result.values()) == ["TRAIN", "VAL", "TEST", None]
    (lists / "subgroup_testing.txt").write_text("patient0001\n")
    with pytest.raises(DatasetError, match="patient0001 is in another list"):
        camus.listing(tmp_path)


@real_data
def test_the_real_split(tmp_path: Path) -> None:
    records = camus.listing(REAL).records
    patients = {item.patient: item.split for item in records}
    assert sum(split == "VAL" for split in patients.values()) == 50
    assert None not in patients.values()
