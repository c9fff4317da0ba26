"""CAMUS, original release: what differs from the NIfTI one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cardiolabel.datasets import camus_mhd
from cardiolabel.datasets.folder import reference_path
from cardiolabel.domain import Convention, Phase, View
from cardiolabel.errors import DatasetError

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "camus_mhd"
CFG = (
    "ED: 2\nES: 18\nNbFrame: 20\nSex: F\nAge: 56\nImageQuality: Good\nLVedv: 94.0\nLVesv: 34.6\nLVef: 63.2\n"
)


def make(root: Path) -> Path:
    folder = root / "patient0001"
    folder.mkdir(parents=True)
    for view in ("2CH", "4CH"):
        for word in ("ED", "ES", "sequence"):
            for end in (".mhd", ".raw", "_gt.mhd", "_gt.raw"):
                (folder / f"patient0001_{view}_{word}{end}").touch()
        (folder / f"Info_{view}.cfg").write_text(CFG)
    return folder


@pytest.mark.parametrize("nested", ["", "training", "testing"])
def test_stills_and_sequences(tmp_path: Path, nested: str) -> None:
    make(tmp_path / nested)
    records = camus_mhd.listing(tmp_path).records
    assert len(records) == 6
    cine = records[-1]
    assert (cine.image_id, cine.view, cine.phase) == ("patient0001_4CH_sequence", View.A4C, Phase.CINE)
    assert (cine.ed_frame, cine.es_frame, cine.frame_rate_hz) == (2, 18, None)
    assert {item.dataset for item in records} == {"camus-mhd"}


def test_lvef_follows_the_guideline(tmp_path: Path) -> None:
    make(tmp_path)
    for item in camus_mhd.listing(tmp_path).records:
        assert (item.reference_ef_pct, item.reference_convention) == (63.2, Convention.GUIDELINE)


def test_patients_of_the_test_set_have_no_ef(tmp_path: Path) -> None:
    for path in make(tmp_path).glob("*.cfg"):
        path.write_text("ED: 1\nES: 18\nNbFrame: 20\nEF: 54\n")
    item = camus_mhd.listing(tmp_path).records[0]
    assert (item.reference_ef_pct, item.reference_convention) == (None, None)


def test_masks_of_stills_and_sequences(tmp_path: Path) -> None:
    folder = make(tmp_path)
    (folder / "patient0001_2CH_ED_gt.mhd").unlink()
    masks = [reference_path(item) for item in camus_mhd.listing(tmp_path).records]
    assert masks[0] is None
    assert masks[-1] == folder / "patient0001_4CH_sequence_gt.mhd"


def test_the_nifti_release_is_another_layout(tmp_path: Path) -> None:
    (tmp_path / "patient0001").mkdir()
    (tmp_path / "patient0001" / "patient0001_4CH_ED.nii.gz").touch()
    with pytest.raises(DatasetError, match=r"found patient0001_4CH_ED\.nii\.gz.*4CH_ED\.mhd"):
        camus_mhd.listing(tmp_path)


def test_a_malformed_lvef_names_file_and_line(tmp_path: Path) -> None:
    (make(tmp_path) / "Info_4CH.cfg").write_text(CFG.replace("63.2", "high"))
    ((patient, reason),) = camus_mhd.listing(tmp_path).problems
    assert patient == "patient0001"
    assert re.search(r"Info_4CH\.cfg, line 9: LVef is 'high'", reason)


@pytest.mark.skipif(not REAL.is_dir(), reason="CAMUS (.mhd) is not in ../shared/data")
def test_the_real_patient() -> None:
    records = camus_mhd.listing(REAL).records
    assert [item.image_id for item in records] == [
        f"patient0001_{view}_{phase}" for view in ("2CH", "4CH") for phase in ("ED", "ES")
    ]
    assert {(item.reference_ef_pct, item.reference_convention) for item in records} == {
        (63.2, Convention.GUIDELINE)
    }
    assert all(reference_path(item) is not None for item in records)
