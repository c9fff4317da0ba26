"""Masks to train on are found by image id or file name, in any format."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardiolabel.records.studies_folder import StudiesFolder
from cardiolabel.training.samples import mask_paths


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".seg.nrrd", ".mha"])
@pytest.mark.parametrize("name", ["p1_4CH_ED", "Patient 1_4CH_ED", "名_4CH_ED", "가" * 33])
def test_masks_of_any_name_and_format_are_found(tmp_path: Path, name: str, suffix: str) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    (tmp_path / f"{name}.nii.gz").touch()
    (tmp_path / "without_4CH_ED.nii.gz").touch()
    (masks / f"{name}{suffix}").touch()
    records = StudiesFolder(tmp_path).records()
    assert list(mask_paths(records, masks).values()) == [masks / f"{name}{suffix}"]
