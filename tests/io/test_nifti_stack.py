"""Short-axis stacks as NIfTI: sizes, place in the patient, and headers that never had an affine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from cardiolabel.domain import Spacing, Stack
from cardiolabel.errors import ImageContentError
from cardiolabel.io import nifti

SPACING = Spacing(row_mm=1.25, col_mm=1.5)


def pixels() -> NDArray[np.int16]:
    return np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)


def save(path: Path, *, sform: NDArray[Any], zooms: tuple[float, ...], qform: int = 0) -> Path:
    image = nib.Nifti1Image(pixels().transpose(2, 1, 0), sform)
    image.header["sform_code"], image.header["qform_code"] = 2, qform
    image.header["pixdim"][1:4] = zooms
    nib.save(image, path)
    return path


def sizes(path: Path) -> tuple[float, float, float | None]:
    image = nifti.read(path)
    assert image.clip.spacing is not None
    return image.clip.spacing.row_mm, image.clip.spacing.col_mm, image.grid.slice_spacing_mm


def test_columns_rows_slices_in_mm(tmp_path: Path) -> None:
    nifti.write_stack(Stack(pixels(), SPACING, 8.0), tmp_path / "a.nii.gz")
    image = nib.load(tmp_path / "a.nii.gz")
    assert image.shape == (4, 3, 2) and image.get_data_dtype() == np.int16
    np.testing.assert_allclose(image.header.get_zooms(), (1.5, 1.25, 8))
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_array_equal(nifti.read(tmp_path / "a.nii.gz").clip.pixels, pixels())
    assert sizes(tmp_path / "a.nii.gz") == pytest.approx((1.25, 1.5, 8.0))


def test_a_place_in_the_patient_is_kept_and_masks_share_it(tmp_path: Path) -> None:
    affine = np.array([[0, 1.25, 0, 10], [1.5, 0, 0, 20], [0, 0, -8, 30], [0, 0, 0, 1]])
    nifti.write_stack(Stack(pixels(), SPACING, 8.0, affine), tmp_path / "a.nii.gz")
    grid = nifti.read(tmp_path / "a.nii.gz").grid
    np.testing.assert_allclose(grid.affine, affine)
    nifti.write_mask_like(np.ones((2, 3, 4), np.uint8), tmp_path / "m.nii.gz", grid=grid)
    np.testing.assert_allclose(nib.load(tmp_path / "m.nii.gz").affine, affine)


def test_a_single_slice_keeps_its_third_axis(tmp_path: Path) -> None:
    nifti.write_stack(Stack(pixels()[:1], SPACING, 8.0), tmp_path / "a.nii.gz")
    assert nib.load(tmp_path / "a.nii.gz").shape == (4, 3, 1)
    assert sizes(tmp_path / "a.nii.gz") == pytest.approx((1.25, 1.5, 8.0))


@pytest.mark.parametrize("sform", [np.eye(4), np.diag([-1.0, -1.0, 1.0, 1.0])])
def test_an_identity_beside_other_sizes_was_never_set(tmp_path: Path, sform: NDArray[Any]) -> None:
    path = save(tmp_path / "a.nii.gz", sform=sform, zooms=(1.5, 1.25, 8.0))
    assert sizes(path) == pytest.approx((1.25, 1.5, 8.0))
    np.testing.assert_allclose(nifti.read(path).grid.affine, sform @ np.diag([1.5, 1.25, 8.0, 1.0]))


def test_voxels_of_1_mm_stay_so(tmp_path: Path) -> None:
    assert sizes(save(tmp_path / "a.nii.gz", sform=np.eye(4), zooms=(1, 1, 1))) == (1, 1, 1)


def test_two_sizes_without_a_coded_qform_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", sform=np.diag([0.9, 0.8, 5.0, 1.0]), zooms=(1.5, 1.25, 8.0))
    with pytest.raises(
        ImageContentError, match=r"1\.5 x 1\.25 x 8 mm by pixdim and 0\.9 x 0\.8 x 5 mm by the"
    ):
        nifti.read(path)


@pytest.mark.parametrize("sform", [np.eye(4), np.diag([0.9, 0.8, 5.0, 1.0]), np.diag([1.5, 1.25, 4.0, 1.0])])
def test_pixdim_and_a_coded_qform_win_over_another_sform(tmp_path: Path, sform: NDArray[Any]) -> None:
    path = save(tmp_path / "a.nii.gz", sform=sform, zooms=(1.5, 1.25, 8.0), qform=1)
    assert sizes(path) == pytest.approx((1.25, 1.5, 8.0))
