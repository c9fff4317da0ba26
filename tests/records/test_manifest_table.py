"""A row that cannot be understood costs itself and its image, and says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardiolabel.datasets import folder
from cardiolabel.errors import ManifestError, UnknownImageError
from cardiolabel.records import manifest
from cardiolabel.records.studies_folder import StudiesFolder

HEADER = "image_id,patient,view,phase,dataset,path,reference_ef_pct"
GOOD = "good,p0,A4C,ED,x,good.nii.gz,55"
LAST = "last,p9,A2C,ES,x,last.nii.gz,"

BAD_ROWS = {
    "view": "bad,p1,5CH,ED,x,bad.nii.gz,",
    "number": "bad,p1,A4C,ED,x,bad.nii.gz,fifty",
    "infinity": "bad,p1,A4C,ED,x,bad.nii.gz,1e400",
    "blank patient": "bad,,A4C,ED,x,bad.nii.gz,",
    "too few cells": "bad,p1,A4C",
    "too many cells": "bad,p1,A4C,ED,x,bad.nii.gz,,,,",
    "comma in a cell": "bad,p1, the second,A4C,ED,x,bad.nii.gz",
    "quote within a cell": 'bad,p"1,A4C,ED,"x"y,bad.nii.gz,',
    "open quote": 'bad,"p1,A4C,ED,x,bad.nii.gz,',
    "id of another row": "good,p1,A4C,ED,x,bad.nii.gz,",
    "path elsewhere": "bad,p1,A4C,ED,x,../bad.nii.gz,",
    "path of Windows": r"bad,p1,A4C,ED,x,C:\bad.nii.gz,",
    "blank path": "bad,p1,A4C,ED,x,,",
    "NUL": "bad,p1,A4C,ED,x,bad\0.nii.gz,",
    "Latin-1": "bad,M\xfcller,A4C,ED,x,bad.nii.gz,",
    "semicolons": "bad;p1;A4C;ED;x;bad.nii.gz;",
}


def written(place: Path, *rows: str) -> Path:
    for name in ("good", "bad", "last"):
        (place / f"{name}.nii.gz").touch()
    content = "".join(f"{row}\n" for row in (HEADER, GOOD, *rows, LAST))
    (place / "manifest.csv").write_bytes(content.encode("latin-1"))
    return place


@pytest.mark.parametrize("row", BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_a_bad_cell_costs_its_row(tmp_path: Path, row: str) -> None:
    studies = StudiesFolder(written(tmp_path, row))
    assert list(studies.by_id()) == ["good", "last"]
    ((name, reason),) = studies.left_out_images()
    assert name == "bad.nii.gz" and reason.startswith("manifest.csv, line 3") and str(tmp_path) not in reason
    with pytest.raises(UnknownImageError, match=r"no image 'bad' .*manifest\.csv, line 3"):
        studies.record("bad")
    with pytest.raises(ManifestError, match=r"manifest\.csv, line 3"):
        manifest.read(tmp_path)
    with pytest.raises(ManifestError, match=r"manifest\.csv, line 3"):
        manifest.scan(tmp_path, strict=True)


def test_an_image_without_a_row_is_taken_as_ever(tmp_path: Path) -> None:
    studies = StudiesFolder(written(tmp_path, BAD_ROWS["view"]))
    (tmp_path / "bad2_4CH_ED.nii.gz").touch()
    assert list(studies.by_id()) == ["good", "last", "bad2_4CH_ED"]


def test_a_row_that_names_no_file_is_named_by_its_line(tmp_path: Path) -> None:
    studies = StudiesFolder(written(tmp_path, BAD_ROWS["view"], "gone,p2,5CH,ED,x,gone.nii.gz,"))
    assert [name for name, _ in studies.left_out_images()] == ["bad.nii.gz", "manifest.csv, line 4"]


def test_a_row_that_is_corrected_brings_its_image_back(tmp_path: Path) -> None:
    studies = StudiesFolder(written(tmp_path, BAD_ROWS["view"]))
    assert "bad" not in studies.by_id()
    written(tmp_path, BAD_ROWS["view"].replace("5CH", "A4C"))
    assert studies.record("bad").patient == "p1" and studies.left_out_images() == ()


def test_every_row_bad_is_no_empty_folder_in_silence(tmp_path: Path) -> None:
    rows = "".join(f"i{n},p{n},5CH,ED,x,i{n}.nii.gz\n" for n in range(3000))
    (tmp_path / "manifest.csv").write_text(f"image_id,patient,view,phase,dataset,path\n{rows}")
    for n in range(3000):
        (tmp_path / f"i{n}.nii.gz").touch()
    studies = StudiesFolder(tmp_path)
    assert studies.records() == [] and len(studies.left_out_images()) == 3000


def test_preparing_a_folder_names_the_row_too(tmp_path: Path) -> None:
    listing = folder.listing(written(tmp_path, BAD_ROWS["view"]))
    assert [record.image_id for record in listing.records] == ["good", "last"]
    assert [name for name, _ in listing.problems] == ["bad.nii.gz"]


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00\x01" * 50, b"\x1f\x8b" * 40, b'"image_id']
)
def test_what_is_no_table_of_images_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(ManifestError, match=r"manifest\.csv"):
        StudiesFolder(tmp_path).records()
