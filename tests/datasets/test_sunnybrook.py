"""Sunnybrook's two layouts: who is who, what is missing, and EF from contours to the table."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cardiolabel.datasets import sunnybrook
from cardiolabel.datasets.prepare import Prepared, prepare
from cardiolabel.domain import ACDC_LABELS, Phase, View
from cardiolabel.errors import DatasetError
from cardiolabel.io import nifti
from cardiolabel.measurements.records import PatientRow
from cardiolabel.measurements.study import measure_study
from cardiolabel.records import manifest
from cardiolabel.studies.predicted import masked_image

from .sunnybrook_files import (
    APART_MM,
    COL_MM,
    ED_RADII_MM,
    ES_RADII_MM,
    ROW_MM,
    make_flattened,
    make_official,
)

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "sunnybrook"

real_data = pytest.mark.skipif(not REAL.is_dir(), reason="Sunnybrook is not in ../shared/data")


def measured(dest: Path, patient: str) -> PatientRow:
    images = [
        masked_image(
            record,
            nifti.read_mask(dest / "labels" / "final" / record.path.name),
            nifti.read(record.path).grid,
            ACDC_LABELS,
        )
        for record in manifest.scan(dest, strict=True)
        if record.patient == patient
    ]
    return measure_study(images).rows[0]


@pytest.mark.parametrize("make", [make_official, make_flattened])
def test_both_layouts_give_the_same_study(tmp_path: Path, make: Callable[..., Path]) -> None:
    source = make(tmp_path / "in", numbers=(1, 2))
    assert prepare("sunnybrook", source, tmp_path / "out") == Prepared(4, 4, ())
    records = manifest.scan(tmp_path / "out", strict=True)
    assert [record.image_id for record in records] == [
        "SC-HF-I-1_SAX_ED",
        "SC-HF-I-1_SAX_ES",
        "SC-HF-I-2_SAX_ED",
        "SC-HF-I-2_SAX_ES",
    ]
    assert {(record.view, record.dataset, record.split) for record in records} == {
        (View.SAX, "sunnybrook", "TRAIN")
    }
    assert [record.phase for record in records] == [Phase.ED, Phase.ES] * 2


@pytest.mark.parametrize("make", [make_official, make_flattened])
def test_volumes_and_ef_are_the_circles(tmp_path: Path, make: Callable[..., Path]) -> None:
    prepare("sunnybrook", make(tmp_path / "in"), tmp_path / "out")
    volumes = [
        sum(np.pi * (r or 0) ** 2 * APART_MM / 1000 for r in radii) for radii in (ED_RADII_MM, ES_RADII_MM)
    ]
    row = measured(tmp_path / "out", "SC-HF-I-1")
    assert (row.edv_ml, row.esv_ml) == pytest.approx(tuple(volumes), rel=0.01)
    assert row.ef_pct == pytest.approx(100 * (1 - volumes[1] / volumes[0]), abs=0.5)


def test_files_carry_sizes_and_place_in_mm(tmp_path: Path) -> None:
    prepare("sunnybrook", make_official(tmp_path / "in"), tmp_path / "out")
    name = "SC-HF-I-1_SAX_ED.nii.gz"
    image, label = nib.load(tmp_path / "out" / name), nib.load(tmp_path / "out" / "labels" / "final" / name)
    assert image.header.get_xyzt_units()[0] == "mm"
    for file in (image, label):
        assert file.shape == (56, 64, 5)
        np.testing.assert_allclose(file.header.get_zooms(), (COL_MM, ROW_MM, APART_MM), rtol=1e-6)
        np.testing.assert_allclose(file.affine @ [0, 0, 4, 1], [-10, -20, 30, 1], atol=1e-3)


def test_sex_age_and_split_are_the_tables(tmp_path: Path) -> None:
    result = sunnybrook.listing(make_official(tmp_path, numbers=(1, 5))).records
    assert [(record.sex, record.age_years, record.split) for record in result[::2]] == [
        ("F", 61, "TRAIN"),
        ("F", 65, "VAL"),
    ]
    (tmp_path / "scd_patientdata.csv").unlink()
    (tmp_path / "link.csv").write_text(
        "patient_id,original_id\nSCD0000101,SC-HF-I-1\nSCD0000501,SC-HF-I-05\n"
    )
    assert [(record.sex, record.age_years) for record in sunnybrook.listing(tmp_path).records] == [
        (None, None)
    ] * 4


def test_the_official_split() -> None:
    names = [name for part in sunnybrook.SPLITS.values() for name in part]
    assert [len(part) for part in sunnybrook.SPLITS.values()] == [15, 15, 15]
    assert len(set(names)) == 45


@pytest.mark.parametrize("where", ["", "SCD_IMAGES_05"])
def test_images_unpacked_anywhere(tmp_path: Path, where: str) -> None:
    make_official(tmp_path)
    moved = tmp_path / where / "SCD0000101"
    moved.parent.mkdir(exist_ok=True)
    shutil.move(tmp_path / "SCD_IMAGES_01" / "SCD0000101", moved)
    assert len(sunnybrook.patients(tmp_path)) == 1


def test_other_series_of_the_patient_are_passed_over(tmp_path: Path) -> None:
    folder = make_official(tmp_path) / "SCD_IMAGES_01" / "SCD0000101"
    for name in ("CINELAX_200", "PERF_400"):
        (folder / name).mkdir()
        (folder / name / "IM-0001-0001.dcm").write_bytes(b"another series")
    assert len(sunnybrook.patients(tmp_path)[0].image_folders) == 1


def test_twice_changes_nothing_and_corrections_stay(tmp_path: Path) -> None:
    source = make_official(tmp_path / "in")
    first = prepare("sunnybrook", source, tmp_path / "out")
    label = tmp_path / "out" / "labels" / "final" / "SC-HF-I-1_SAX_ED.nii.gz"
    label.write_bytes(b"a correction")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.nii.gz")}
    assert prepare("sunnybrook", source, tmp_path / "out") == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.nii.gz")} == before


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        ("SCD_IMAGES_01/SCD0000101", "has contours but no images; download the SCD_IMAGES_… that holds SCD0"),
        ("SCD_ManualContours/SC-HF-I-01", "has images (SCD0000101) but no contours; download SCD_Manual"),
    ],
)
def test_partial_downloads_say_what_is_missing(tmp_path: Path, lost: str, says: str) -> None:
    source = make_official(tmp_path / "in", numbers=(1, 2))
    shutil.rmtree(source / lost)
    report = prepare("sunnybrook", source, tmp_path / "out")
    assert (report.images, report.labels) == (2, 2)
    assert [name for name, _ in report.skipped] == ["SC-HF-I-1"]
    assert says in report.skipped[0][1]


def test_a_broken_patient_is_skipped_and_the_rest_goes_on(tmp_path: Path) -> None:
    source = make_official(tmp_path / "in", numbers=(1, 2))
    (source / "SCD_IMAGES_01" / "SCD0000101" / "CINESAX_300" / "IM-0003-0001.dcm").write_bytes(b"broken")
    report = prepare("sunnybrook", source, tmp_path / "out")
    assert (report.images, report.labels) == (2, 2)
    assert [name for name, _ in report.skipped] == ["SC-HF-I-1_SAX_ED", "SC-HF-I-1_SAX_ES"]
    assert all("IM-0003-0001.dcm" in reason for _, reason in report.skipped)


def test_a_broken_contour_costs_its_mask_only(tmp_path: Path) -> None:
    source = make_official(tmp_path / "in")
    path = next(source.rglob("IM-0001-0011-ocontour-manual.txt"))
    path.write_text("1.0 2.0\n3.0\n")
    report = prepare("sunnybrook", source, tmp_path / "out")
    assert (report.images, report.labels) == (2, 1)
    assert report.skipped[0][0] == "SC-HF-I-1_SAX_ED" and "line 2" in report.skipped[0][1]


def test_strangers_to_the_table(tmp_path: Path) -> None:
    make_official(tmp_path)
    table = tmp_path / "scd_patientdata.csv"
    table.write_text(table.read_text(encoding="utf-8-sig").replace("SCD0000101", "SCD0000201"))
    problems = dict(sunnybrook.listing(tmp_path).problems)
    assert "not in link.csv or scd_patientdata.csv" in problems["SCD0000101"]
    assert "contours but no images" in problems["SC-HF-I-1"]
    table.write_text("PatientID,OriginalID\nSCD0000301,SC-HF-I-4\n")
    assert "download the table again" in dict(sunnybrook.listing(tmp_path).problems)["SC-HF-I-1"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Patient,Original\nSCD0000101,SC-HF-I-1\n", "line 1: expected columns PatientID and OriginalID"),
        ("PatientID,OriginalID\nSCD0000101,\n", "line 2: expected PatientID and OriginalID"),
        (
            "PatientID,OriginalID,Age\nSCD0000101,SC-HF-I-1,old\n",
            "line 2: Age is 'old'; expected whole years",
        ),
        ("", "line 1"),
        ("\xff", "cannot be read as text"),
    ],
)
def test_malformed_tables(tmp_path: Path, text: str, says: str) -> None:
    (make_official(tmp_path) / "scd_patientdata.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(DatasetError, match=says):
        sunnybrook.listing(tmp_path)


def test_tables_that_disagree(tmp_path: Path) -> None:
    (make_official(tmp_path) / "link.csv").write_text("patient_id,original_id\nSCD0000101,SC-HF-I-2\n")
    with pytest.raises(DatasetError, match="SCD0000101 is SC-HF-I-1, elsewhere SC-HF-I-2"):
        sunnybrook.listing(tmp_path)


@pytest.mark.parametrize("content", ["missing", "empty", "no table"])
def test_another_layout_is_named_with_what_was_expected(tmp_path: Path, content: str) -> None:
    root, says = tmp_path / "root", "no such folder; expected SCD_IMAGES_01/SCD0000101"
    if content == "empty":
        root.mkdir()
        says = "found neither images nor contours; expected SCD_IMAGES_01/SCD0000101"
    if content == "no table":
        (make_official(root) / "scd_patientdata.csv").unlink()
        says = "neither link.csv nor scd_patientdata.csv.*download scd_patientdata.csv"
    with pytest.raises(DatasetError, match=says):
        sunnybrook.listing(root)


@real_data
def test_real_patients_and_their_ef(tmp_path: Path) -> None:
    """EF by slice summation of the contours.

    ../shared/data/README.md gives 33.5 for SC-HF-I-5, which takes the larger contour of each slice for ED.
    Its apical slice is larger at ES, so that one phase for the whole stack gives 33.03.
    """
    assert prepare("sunnybrook", REAL, tmp_path) == Prepared(8, 8, ())
    expected = {"SC-HF-I-1": 26.2, "SC-HF-I-2": 25.5, "SC-HF-I-4": 21.8, "SC-HF-I-5": 33.0}
    for patient, ef_pct in expected.items():
        row = measured(tmp_path, patient)
        assert row.ef_pct == pytest.approx(ef_pct, abs=0.15), patient
        assert row.edv_ml is not None and 180 < row.edv_ml < 260
    records = {record.image_id: record for record in manifest.read(tmp_path)}
    ed = records["SC-HF-I-5_SAX_ED"]
    assert (ed.sex, ed.age_years, ed.split) == ("M", 45, "VAL")
