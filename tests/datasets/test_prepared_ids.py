"""A folder that is prepared again: images keep their ids, whatever came to the source or left it."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cardiolabel.datasets.prepare import prepare
from cardiolabel.errors import DatasetError
from cardiolabel.records import manifest
from cardiolabel.records.layout import StudiesLayout


def save(path: Path, grey: int) -> None:
    """An image that its grey value tells from others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.full((8, 9), grey, np.uint8), np.diag([-0.5, -0.5, 1, 1])), str(path))


def greys(dest: Path) -> dict[str, int]:
    """Grey values by image id."""
    return {row.image_id: int(np.asarray(nib.load(row.path).dataobj).max()) for row in manifest.read(dest)}


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
@pytest.mark.parametrize("is_kept", [True, False], ids=["ids kept", "prepared by an earlier version"])
@pytest.mark.parametrize(
    ("first", "other"),
    [("x/p1_4CH_ED", "y/p1_4CH_ED"), ("b/scan", "a/scan"), ("p1_4CH_ED", "y/p1_4CH_ED")],
)
def test_an_image_keeps_its_id_when_another_of_its_name_comes(
    tmp_path: Path, suffix: str, is_kept: bool, first: str, other: str
) -> None:
    source, dest = tmp_path / "in", tmp_path / "out"
    save(source / f"{first}{suffix}", 50)
    prepare("folder", source, dest)
    (image_id,) = greys(dest)
    if not is_kept:
        StudiesLayout(dest).prepared_ids.unlink()
    save(source / f"{other}{suffix}", 90)
    report = prepare("folder", source, dest)
    assert (report.images, report.skipped) == (2, ())
    result = greys(dest)
    assert result.pop(image_id) == 50 and list(result.values()) == [90]


def test_images_told_apart_stay_so_when_one_of_them_leaves(tmp_path: Path) -> None:
    source, dest = tmp_path / "in", tmp_path / "out"
    save(source / "x/p1_4CH_ED.nii.gz", 50)
    save(source / "y/p1_4CH_ED.nii.gz", 90)
    prepare("folder", source, dest)
    before = greys(dest)
    (source / "x/p1_4CH_ED.nii.gz").unlink()
    report = prepare("folder", source, dest)
    assert (report.images, report.skipped) == (1, ()) and greys(dest) == before


def test_an_id_of_an_earlier_version_stays_with_its_image(tmp_path: Path) -> None:
    source, dest = tmp_path / "in", tmp_path / "out"
    save(source / "Patient 1_4CH_ED.nii.gz", 50)
    prepare("folder", source, dest)
    (row,) = manifest.read(dest)
    earlier = dest / "Patient_1_4CH_ED.nii.gz"
    row.path.rename(earlier)
    table = (dest / "manifest.csv").read_text().replace(row.image_id, "Patient_1_4CH_ED")
    (dest / "manifest.csv").write_text(table)
    StudiesLayout(dest).prepared_ids.unlink()
    assert prepare("folder", source, dest).images == 1
    assert greys(dest) == {"Patient_1_4CH_ED": 50}


def test_another_image_in_a_file_s_place_takes_no_id(tmp_path: Path) -> None:
    source, dest = tmp_path / "in", tmp_path / "out"
    save(source / "p1_4CH_ED.nii.gz", 50)
    prepare("folder", source, dest)
    save(source / "p1_4CH_ED.nii.gz", 90)
    report = prepare("folder", source, dest)
    assert report.images == 0 and "another image" in report.skipped[0][1] and greys(dest) == {"p1_4CH_ED": 50}


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_damaged_earlier_ids_are_named(tmp_path: Path, content: str) -> None:
    save(tmp_path / "in/p1_4CH_ED.nii.gz", 50)
    StudiesLayout(tmp_path / "out").prepared_ids.parent.mkdir(parents=True)
    StudiesLayout(tmp_path / "out").prepared_ids.write_text(content)
    with pytest.raises(DatasetError, match=r"prepared_ids\.json: cannot be read"):
        prepare("folder", tmp_path / "in", tmp_path / "out")
