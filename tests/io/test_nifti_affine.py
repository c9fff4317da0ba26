"""Which of a header's statements about its geometry counts, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from cardiolabel.errors import ImageContentError
from cardiolabel.io import nifti
from cardiolabel.io.grid import Grid
from cardiolabel.io.mask_files import onto_image

ZOOMS = (1.5, 1.25, 8.0)


def save(
    path: Path,
    *,
    sform: NDArray[Any] | None,
    qform: NDArray[Any] | None,
    zooms: tuple[float, ...] = ZOOMS,
    shape: tuple[int, ...] = (4, 3, 2),
) -> Path:
    image = nib.Nifti1Image(np.arange(np.prod(shape), dtype=np.uint8).reshape(shape), None)
    header = image.header
    if qform is not None:
        header.set_qform(qform, code=1)
    if sform is not None:
        header.set_sform(sform, code=1)
    header["pixdim"][1:4] = zooms
    path.write_bytes(image.to_bytes())
    return path


def plain(*sizes: float) -> NDArray[np.float64]:
    return np.diag([-sizes[0], -sizes[1], sizes[2], 1.0])


def sizes_of(path: Path) -> tuple[float, float, float | None]:
    grid = nifti.read(path).grid
    assert grid.spacing is not None
    return grid.spacing.col_mm, grid.spacing.row_mm, grid.slice_spacing_mm


@pytest.mark.parametrize(
    "sform",
    [
        plain(1, 1, 1),
        plain(3, 2.5, 16),
        plain(1.5, 1.25, 1),
        plain(0, 0, 0),
        plain(np.nan, 1.25, 8),
        plain(0.15, 0.125, 0.8),
        np.array([[1.5, 1.5, 0, 0], [0, 0, 0, 0], [0, 0, 8, 0], [0, 0, 0, 1.0]]),
        None,
    ],
    ids=["ones", "twice", "other step", "zeros", "NaN", "centimetres", "singular", "none"],
)
def test_pixdim_and_a_coded_qform_win_over_a_deviating_sform(
    tmp_path: Path, sform: NDArray[Any] | None
) -> None:
    path = save(tmp_path / "a.nii", sform=sform, qform=plain(*ZOOMS))
    assert sizes_of(path) == pytest.approx(ZOOMS)
    sizes = sitk.ReadImage(str(path)).GetSpacing() if sform is None else ZOOMS
    assert sizes == pytest.approx(ZOOMS)


@pytest.mark.parametrize("codes", [(1, 1), (1, 2), (2, 1), (2, 2), (1, 4), (0, 2), (1, 0), (0, 0)])
@pytest.mark.parametrize(
    "sform",
    [
        np.array([[0, -1.25, 0, 4], [-1.5, 0, 0, 5], [0, 0, 8, 6], [0, 0, 0, 1.0]]),
        np.diag([1.5, 1.25, 8.0, 1.0]),
        np.diag([1.5, -1.25, -8.0, 1.0]),
        np.diag([-1.5, -1.25, 8.0, 1.0]) + np.outer([1, 1, 1, 0], [0, 0, 0, 9.0]),
    ],
    ids=["exchanged", "half a turn", "mirrored", "shifted"],
)
def test_the_place_is_where_itk_puts_it(tmp_path: Path, sform: NDArray[Any], codes: tuple[int, int]) -> None:
    path = save(tmp_path / "a.nii", sform=sform, qform=plain(*ZOOMS))
    content = bytearray(path.read_bytes())
    content[252:256] = np.array(codes, "<i2").tobytes()
    path.write_bytes(content)
    image = sitk.ReadImage(str(path))
    steps = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    lps = np.vstack([np.c_[steps, image.GetOrigin()], [0, 0, 0, 1]])
    np.testing.assert_allclose(nifti.read(path).grid.affine, np.diag([-1, -1, 1, 1]) @ lps, atol=1e-5)


def test_masks_at_either_of_two_places_are_joined_and_at_both_refused(tmp_path: Path) -> None:
    sform = plain(*ZOOMS)
    sform[0, 0] *= -1
    for shift in (0.0, 50.0):
        sform[0, 3] = -4.5 + shift  # without a shift the same voxels, in the other direction
        path = save(tmp_path / "a.nii", sform=sform, qform=plain(*ZOOMS))
        content = bytearray(path.read_bytes())
        content[254:256] = np.array(2, "<i2").tobytes()
        path.write_bytes(content)
        grid = nifti.read(path).grid
        mask = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) % 3
        own = Grid((4, 3, 2), sform)
        if shift:
            np.testing.assert_array_equal(onto_image(mask, own, grid, name="m", stack=True), mask)
        else:
            with pytest.raises(ImageContentError, match="puts the image in two places"):
                onto_image(mask, own, grid, name="m", stack=True)


@pytest.mark.parametrize("zooms", [(0, 0, 0), (np.nan, np.nan, np.nan)])
def test_an_sform_counts_where_pixdim_says_nothing(tmp_path: Path, zooms: tuple[float, ...]) -> None:
    path = save(tmp_path / "a.nii", sform=plain(*ZOOMS), qform=None, zooms=zooms)
    assert sizes_of(path) == pytest.approx(ZOOMS)


@pytest.mark.parametrize("sform", [plain(2, 2, 2), plain(1.5, 1.3, 8), plain(0.15, 0.125, 0.8)])
def test_two_pixel_sizes_that_nothing_settles_are_refused_with_both(
    tmp_path: Path, sform: NDArray[Any]
) -> None:
    path = save(tmp_path / "a.nii", sform=sform, qform=None)
    other = " x ".join(f"{size:g}" for size in np.abs(np.diag(sform))[:3])
    with pytest.raises(ImageContentError, match=f"1.5 x 1.25 x 8 mm by pixdim and {other} mm by the sform"):
        nifti.read(path)


def test_two_steps_between_slices_leave_it_unknown_and_are_told(tmp_path: Path) -> None:
    grid = nifti.read(save(tmp_path / "a.nii", sform=plain(1.5, 1.25, 5), qform=None)).grid
    assert grid.spacing is not None and grid.slice_spacing_mm is None
    assert grid.step_problem == "the distance between slices is 8 mm by pixdim and 5 mm by the sform"


def test_a_singular_sform_alone_gives_way_to_pixdim(tmp_path: Path) -> None:
    singular = np.array([[1.5, 1.5, 0, 0], [0, 0, 0, 0], [0, 0, 8, 0], [0, 0, 0, 1.0]])
    assert sizes_of(save(tmp_path / "a.nii", sform=singular, qform=None)) == pytest.approx(ZOOMS)


def test_a_third_axis_within_the_plane_gives_way_to_pixdim(tmp_path: Path) -> None:
    flat = np.array([[-1.5, 0, 5, 0], [0, -1.25, 5, 0], [0, 0, 0, 0], [0, 0, 0, 1.0]])
    assert sizes_of(save(tmp_path / "a.nii", sform=flat, qform=None)) == pytest.approx(ZOOMS)


@pytest.mark.parametrize("aside", [(6.0, 0.0), (0.0, -3.0), (4.0, 4.0)])
def test_slices_shifted_sideways_keep_the_volume_of_a_voxel(
    tmp_path: Path, aside: tuple[float, float]
) -> None:
    sheared = plain(*ZOOMS)
    sheared[:2, 2] = aside
    zooms = tuple(np.linalg.norm(sheared[:3, :3], axis=0))
    col, row, step = sizes_of(save(tmp_path / "a.nii", sform=sheared, qform=None, zooms=zooms))
    assert step is not None
    assert col * row * step == pytest.approx(abs(np.linalg.det(sheared[:3, :3])))


def test_rows_that_slant_against_columns_are_refused(tmp_path: Path) -> None:
    slanted = plain(*ZOOMS)
    slanted[0, 1] = 0.8
    zooms = tuple(np.linalg.norm(slanted[:3, :3], axis=0))
    with pytest.raises(ImageContentError, match="meet at 57 degrees"):
        nifti.read(save(tmp_path / "a.nii", sform=slanted, qform=None, zooms=zooms))


def test_a_sheared_sform_beside_a_qform_that_is_not_is_refused_with_both_volumes(tmp_path: Path) -> None:
    sheared = plain(1.5, 1.25, 8)
    sheared[0, 2] = 6
    zooms = tuple(np.linalg.norm(sheared[:3, :3], axis=0))
    with pytest.raises(ImageContentError, match=r"15 by the sform, which is sheared, and 18\.75 by"):
        nifti.read(save(tmp_path / "a.nii", sform=sheared, qform=plain(*zooms), zooms=zooms))


@pytest.mark.parametrize("unit", ["meter", "micron"])
def test_a_unit_counts_for_all_axes(tmp_path: Path, unit: str) -> None:
    image = nib.Nifti1Image(np.zeros((4, 3, 2), np.uint8), plain(*ZOOMS))
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "a.nii")
    in_mm = {"meter": 1000.0, "micron": 0.001}[unit]
    assert sizes_of(tmp_path / "a.nii") == pytest.approx([in_mm * size for size in ZOOMS])


def test_files_without_a_pixel_size_are_read_without_a_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / "a.nii", sform=None, qform=None, zooms=(0, 0, 1))
    assert nifti.read(path).grid.spacing is None
    assert capfd.readouterr() == ("", "")
