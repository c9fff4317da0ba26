"""Where viewers show images: three axes, frames far apart, slices where they are."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from cardiolabel.domain import Phase, Record, View
from cardiolabel.io import nifti
from cardiolabel.io.grid import Grid
from cardiolabel.io.shown_grid import FRAME_STEP_MM, copy_bytes, is_cine, opens_as_shown, shown_grid

SHAPES = [(6, 5), (6, 5, 1), (6, 5, 4), (6, 5, 1, 4)]


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    cos, sin = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cos[0], -sin[0]], [0, sin[0], cos[0]]])
    about_y = np.array([[cos[1], 0, sin[1]], [0, 1, 0], [-sin[1], 0, cos[1]]])
    about_z = np.array([[cos[2], -sin[2], 0], [sin[2], cos[2], 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


def affine_of(
    angles: tuple[float, float, float], sizes: tuple[float, ...], *, mirrored: bool = False
) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = rotation(angles) @ np.diag(sizes) @ np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])
    affine[:3, 3] = 3, -4, 5
    return affine


def record(view: View, phase: Phase = Phase.ED) -> Record:
    return Record("x", "x", view, phase, "folder", Path("x.nii.gz"))


@given(
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    step=st.floats(0.001, 40),
    shape=st.sampled_from(SHAPES),
    mirrored=st.booleans(),
)
@settings(max_examples=60)
def test_frames_are_far_apart_and_stay_in_their_plane_and_order(
    angles: tuple[float, float, float], step: float, shape: tuple[int, ...], mirrored: bool
) -> None:
    grid = Grid(shape, affine_of(angles, (0.3, 0.4, step), mirrored=mirrored))
    shown = shown_grid(grid, cine=True)
    assert shown.shape == (6, 5, grid.frames_shape[0])
    assert shown.slice_spacing_mm == pytest.approx(max(step, FRAME_STEP_MM), rel=1e-5)
    np.testing.assert_allclose(shown.affine[:3, [0, 1, 3]], grid.affine[:3, [0, 1, 3]], rtol=1e-5, atol=1e-5)
    turned = np.linalg.det(shown.affine[:3, :3]) * np.linalg.det(grid.affine[:3, :3])
    assert turned > 0


@given(angles=st.tuples(*[st.floats(-3, 3)] * 3), step=st.floats(0.5, 20))
@settings(max_examples=30)
def test_slices_stay_where_they_are(angles: tuple[float, float, float], step: float) -> None:
    grid = Grid((6, 5, 4), affine_of(angles, (0.9, 1.2, step)))
    np.testing.assert_allclose(shown_grid(grid, cine=False).affine, grid.affine, rtol=1e-5, atol=1e-5)
    assert opens_as_shown(grid, cine=False)


@pytest.mark.parametrize(
    ("view", "phase", "step", "expected"),
    [
        (View.A4C, Phase.CINE, 0.04, True),
        (View.A2C, Phase.ED, 8.0, True),
        (View.SAX, Phase.ED, 8.0, False),
        (View.SAX, Phase.CINE, 0.04, False),
        (View.UNKNOWN, Phase.CINE, 1.0, True),
        (View.UNKNOWN, Phase.ED, 0.02, True),
        (View.UNKNOWN, Phase.CINE, 8.0, False),
    ],
)
def test_what_the_third_axis_counts(view: View, phase: Phase, step: float, expected: bool) -> None:
    assert is_cine(record(view, phase), Grid((6, 5, 4), np.diag([0.3, 0.3, step, 1]))) is expected
    assert not is_cine(record(view, phase), Grid((6, 5), np.diag([0.3, 0.3, step, 1])))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64, np.dtype(">i2")], ids=str)
@pytest.mark.parametrize("shape", [(6, 5, 4), (6, 5, 1, 4)], ids=str)
def test_itk_reads_a_copy_where_it_is_shown(
    tmp_path: Path, shape: tuple[int, ...], dtype: np.dtype, mirrored: bool
) -> None:
    pixels = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    affine = affine_of((0.3, 0.5, -0.4), (0.3, 0.4, 0.04), mirrored=mirrored)
    source, copy = tmp_path / "image.nii", tmp_path / "copy.nii.gz"
    nib.save(nib.Nifti1Image(pixels, affine, dtype=dtype), source)
    image = nifti.read(source)
    assert not opens_as_shown(image.grid, cine=True)
    shown = shown_grid(image.grid, cine=True)
    copy.write_bytes(copy_bytes(image, shown))
    read = sitk.ReadImage(str(copy))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read), image.clip.pixels)
    steps = np.reshape(read.GetDirection(), (3, 3)) * read.GetSpacing()
    to_lps = np.diag([-1, -1, 1]) @ shown.affine[:3]
    np.testing.assert_allclose(steps, to_lps[:, :3], atol=1e-5)
    np.testing.assert_allclose(read.GetOrigin(), to_lps[:, 3], atol=1e-5)
    again = nifti.read(copy)
    assert again.grid.spacing.row_mm == pytest.approx(image.grid.spacing.row_mm, rel=1e-5)


def test_a_copy_states_no_pixel_size_that_the_image_does_not(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((6, 5, 4), np.uint8), None)
    image.header["pixdim"][1:4] = 0, 0, 0.04
    image.to_filename(tmp_path / "image.nii.gz")
    read = nifti.read(tmp_path / "image.nii.gz")
    assert read.grid.spacing is None
    (tmp_path / "copy.nii.gz").write_bytes(copy_bytes(read, shown_grid(read.grid, cine=True)))
    assert nifti.read(tmp_path / "copy.nii.gz").grid.spacing is None
    assert sitk.ReadImage(str(tmp_path / "copy.nii.gz")).GetSpacing() == (1, 1, FRAME_STEP_MM)


@pytest.mark.parametrize(("angles", "expected"), [((0, 0, 0.4), False), ((0.4, 0, 0), False)])
def test_a_still_of_two_axes_that_lies_in_the_patient_is_copied(
    angles: tuple[float, float, float], expected: bool
) -> None:
    """ITK takes such a file to lie at height 0; without a place it does."""
    placed = affine_of(angles, (0.3, 0.4, 1))
    assert opens_as_shown(Grid((6, 5), placed), cine=False) is expected
    placed[:3, 3] = 3, -4, 0
    assert opens_as_shown(Grid((6, 5), placed), cine=False) is (angles[0] == 0)
    assert opens_as_shown(Grid((6, 5), np.diag([-0.3, -0.3, 1, 1])), cine=False)
