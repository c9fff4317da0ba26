"""Files whose names are not UTF-8, and libraries that take UTF-8 only."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from cardiolabel.domain import Clip, Spacing
from cardiolabel.io import nifti, nrrd
from cardiolabel.io.utf8_path import utf8_path

LATIN_1 = os.fsdecode(b"M\xfcller \xe9t\xe9")
SPACING = Spacing(row_mm=0.5, col_mm=0.75)


def test_a_name_in_utf8_is_used_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "Müller 田中.nrrd"
    path.write_bytes(b"x")
    with utf8_path(path) as name:
        assert name == str(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".seg.nrrd", ".nii.gz", ".nii"])
def test_any_other_name_has_a_link_for_as_long_as_it_is_needed(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / LATIN_1 / f"{LATIN_1}{suffix}"
    path.parent.mkdir()
    path.write_bytes(b"content")
    with utf8_path(path) as name:
        assert name.isascii() and name.endswith(suffix.removeprefix(".seg"))
        assert Path(name).read_bytes() == b"content"
    assert not Path(name).exists() and path.exists()


def test_itk_reads_masks_and_images_of_any_name(tmp_path: Path) -> None:
    folder = tmp_path / LATIN_1
    folder.mkdir()
    masks = np.zeros((2, 6, 8), np.uint8)
    masks[0, 1, 2] = masks[1, 4, 5] = 1
    nifti.write_clip(Clip(masks * 60, SPACING), folder / f"{LATIN_1}.nii.gz")
    grid = nifti.read(folder / f"{LATIN_1}.nii.gz").grid
    geometry = nrrd.geometry_of(grid, folder / f"{LATIN_1}.nii.gz")
    (folder / f"{LATIN_1}.nrrd").write_bytes(nrrd.nrrd_bytes(masks, geometry))
    np.testing.assert_array_equal(nrrd.read(folder / f"{LATIN_1}.nrrd").frames, masks)
