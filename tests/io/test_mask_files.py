"""A mask is put onto its image by where it lies and by what it says of its values, or refused."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cardiolabel.domain import ACDC_LABELS, CAMUS_LABELS
from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io import nifti
from cardiolabel.io.grid import Grid
from cardiolabel.io.mask_files import onto_image, read_mask_on
from cardiolabel.io.shown_grid import opens_as_shown, shown_grid

from ..axis_orders import ORDERS, Order, reordered, save, seg_nrrd

OBLIQUE = np.array([[1.2, -0.9, 0.0, -40], [0.9, 1.2, 0.0, 25], [0.0, 0.0, 8.0, 7], [0, 0, 0, 1.0]])
STILL = np.diag([-0.5, -0.4, 1.0, 1.0])


def numbered(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An array in which no order of axes looks like another."""
    return (np.arange(np.prod(shape)).reshape(shape) * 7 % 4).astype(np.uint8)


def grid_of(array: NDArray[np.uint8], affine: NDArray[np.float64]) -> Grid:
    return Grid(array.shape, affine)


@pytest.mark.parametrize("order", ORDERS)
def test_masks_of_a_cine_meet_it_in_any_order(order: Order) -> None:
    array = numbered((7, 6, 5))
    affine = np.diag([-0.5, -0.4, 0.04, 1.0])
    grid, mask = grid_of(array, affine), reordered(array, affine, order)
    own = grid_of(*mask)
    moved = onto_image(own.to_frames(mask[0]), own, grid, name="m", stack=False)  # type: ignore[arg-type]
    np.testing.assert_array_equal(moved, grid.to_frames(array))


@given(st.sampled_from(ORDERS), st.sampled_from(ORDERS), st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_two_orders_of_axes_meet(image_order: object, mask_order: object, still: bool) -> None:
    array = numbered((7, 6, 1) if still else (7, 6, 4))
    affine = STILL if still else OBLIQUE
    image, mask = (reordered(array, affine, order) for order in (image_order, mask_order))  # type: ignore[arg-type]
    grid, own = grid_of(*image), grid_of(*mask)
    moved = onto_image(own.to_frames(mask[0]), own, grid, name="m", stack=not still)  # type: ignore[arg-type]
    np.testing.assert_array_equal(grid.to_disk(moved), image[0])


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("order", [((0, 1, 2), (-1, 1, -1)), ((1, 0, 2), (1, 1, 1)), ((2, 0, 1), (1, -1, 1))])
def test_files_of_every_format_meet(tmp_path: Path, suffix: str, order: object) -> None:
    array = numbered((8, 7, 5))
    image = nifti.read(save(array, OBLIQUE, tmp_path / "image.nii.gz"))
    mask = save(*reordered(array, OBLIQUE, order), tmp_path / f"mask{suffix}")  # type: ignore[arg-type]
    np.testing.assert_array_equal(
        read_mask_on(mask, image.grid, ACDC_LABELS, stack=True), image.clip.pixels.astype(np.uint8)
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda a: a + np.outer([0, 0, 0, 0], [0] * 4) + _moved(a, 0, 2.0), "lies elsewhere"),
        (lambda a: a @ np.diag([1.2, 1.0, 1.0, 1.0]), "pixels of 1.5 x 1.8 mm"),
        (lambda a: a @ _turn(20), "turned against it"),
        (lambda a: a @ np.diag([1.0, 1.0, 1.25, 1.0]), "lies elsewhere"),
        (lambda a: _moved(a, 2, 1.0) + a, "lies elsewhere"),
    ],
    ids=["beside", "other pixels", "turned by 20 degrees", "other slices", "a slice further"],
)
def test_a_mask_that_lies_elsewhere_is_refused(change: object, reason: str) -> None:
    array = numbered((7, 6, 4))
    grid, own = grid_of(array, OBLIQUE), grid_of(array, change(OBLIQUE))  # type: ignore[operator]
    with pytest.raises(ImageContentError, match=reason):
        onto_image(own.to_frames(array), own, grid, name="m", stack=True)  # type: ignore[arg-type]


def _moved(affine: NDArray[np.float64], axis: int, voxels: float) -> NDArray[np.float64]:
    shift = np.zeros((4, 4))
    shift[:3, 3] = affine[:3, axis] * voxels
    return shift


def _turn(degrees: float) -> NDArray[np.float64]:
    turn, angle = np.eye(4), np.radians(degrees)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn


def test_rounding_of_a_header_is_no_other_place() -> None:
    array = numbered((300, 200, 1))
    grid = grid_of(array, np.diag([-0.308, -0.154, 1.0, 1.0]))
    own = grid_of(array, np.diag([-0.30801, -0.15402, 1.0, 1.0]))
    moved = onto_image(own.to_frames(array), own, grid, name="m", stack=False)  # type: ignore[arg-type]
    np.testing.assert_array_equal(moved, grid.to_frames(array))


@pytest.mark.parametrize("affine", [np.eye(4), np.diag([-1.0, -1.0, 1.0, 1.0]), np.zeros((4, 4))])
def test_a_mask_that_tells_no_geometry_is_taken_voxel_by_voxel(affine: NDArray[np.float64]) -> None:
    array = numbered((7, 6, 1))
    grid, own = grid_of(array, STILL), grid_of(array, affine)
    frames = own.to_frames(array)
    np.testing.assert_array_equal(onto_image(frames, own, grid, name="m", stack=False), frames)  # type: ignore[arg-type]
    with pytest.raises(ImageContentError, match="the image has 1 frame of 6 x 8 pixels"):
        onto_image(frames, own, Grid((8, 6, 1), STILL), name="m", stack=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("step", [0.04, 1.0, 10.0])
@pytest.mark.parametrize("backwards", [False, True])
def test_the_step_between_frames_of_a_cine_means_nothing(step: float, backwards: bool) -> None:
    array = numbered((7, 6, 5))
    grid = grid_of(array, np.diag([-0.5, -0.4, 0.04, 1.0]))
    order = ((0, 1, 2), (1, 1, -1 if backwards else 1))
    mask = reordered(array, np.diag([-0.5, -0.4, step, 1.0]), order)
    own = grid_of(*mask)
    moved = onto_image(own.to_frames(mask[0]), own, grid, name="m", stack=False)  # type: ignore[arg-type]
    np.testing.assert_array_equal(moved, grid.to_frames(array))


def test_an_image_without_a_place_takes_masks_where_itk_or_nibabel_put_it(tmp_path: Path) -> None:
    array = numbered((7, 6, 3))
    image = nib.Nifti1Image(array, None)
    image.header["pixdim"][1:4] = (0.5, 0.4, 2)
    nib.save(image, tmp_path / "image.nii.gz")
    grid = nifti.read(tmp_path / "image.nii.gz").grid
    by_nibabel = nib.as_closest_canonical(nib.load(tmp_path / "image.nii.gz"))
    by_itk = reordered(array, np.diag([-0.5, -0.4, 2.0, 1.0]), ((1, 0, 2), (1, -1, 1)))
    for mask in ((np.asarray(by_nibabel.dataobj), by_nibabel.affine), by_itk):
        path = save(*mask, tmp_path / "mask.nii.gz")
        result = read_mask_on(path, grid, CAMUS_LABELS, stack=True)
        np.testing.assert_array_equal(result, grid.to_frames(array))


NAMES = ("lv_cavity", "myocardium", "left_atrium")


@pytest.mark.parametrize("names", [NAMES, ("LV cavity", "Myocardium", "left-atrium")])
@pytest.mark.parametrize("values", [(1, 2, 3), (2, 3, 1), (3, 1, 2)])
def test_a_segmentation_says_itself_what_its_values_mean(
    tmp_path: Path, values: tuple[int, ...], names: tuple[str, ...]
) -> None:
    array = numbered((8, 6, 1))
    path = tmp_path / "Segmentation.seg.nrrd"
    path.write_bytes(seg_nrrd(np.array([0, *values], np.uint8)[array], list(zip(names, values, strict=True))))
    grid = grid_of(array, np.diag([-0.5, -0.5, 1.0, 1.0]))
    listed = {1: "left_atrium", 2: "left_atrium", 3: "left_atrium"}
    result = read_mask_on(path, grid, CAMUS_LABELS, stack=False, segments=listed)
    np.testing.assert_array_equal(result, grid.to_frames(array))


def test_a_list_names_values_where_the_file_does_not(tmp_path: Path) -> None:
    array = numbered((8, 6, 1))
    path = save(np.array([0, 3, 1, 2], np.uint8)[array], np.diag([-0.5, -0.5, 1.0, 1.0]), tmp_path / "m.nrrd")
    grid = grid_of(array, np.diag([-0.5, -0.5, 1.0, 1.0]))
    listed = {3: "lv_cavity", 1: "myocardium", 2: "left_atrium"}
    result = read_mask_on(path, grid, CAMUS_LABELS, stack=False, segments=listed)
    np.testing.assert_array_equal(result, grid.to_frames(array))


@pytest.mark.parametrize(
    ("segments", "reason"),
    [
        (
            [("lv_cavity", 1), ("Segment_2", 2), ("left_atrium", 3)],
            "called 'Segment_2'; expected names among",
        ),
        ([("lv_cavity", 1), ("left_atrium", 3)], "label values 2 belong to no named segment"),
    ],
)
def test_unknown_names_and_values_are_refused(
    tmp_path: Path, segments: list[tuple[str, int]], reason: str
) -> None:
    array = numbered((8, 6, 1))
    path = tmp_path / "m.seg.nrrd"
    path.write_bytes(seg_nrrd(array, segments))
    with pytest.raises(ImageContentError, match=reason):
        read_mask_on(path, grid_of(array, np.diag([-0.5, -0.5, 1.0, 1.0])), CAMUS_LABELS, stack=False)


def test_a_cropped_segmentation_in_layers_is_put_where_it_lies(tmp_path: Path) -> None:
    grid = Grid((9, 8, 1), np.diag([-0.5, -0.5, 1.0, 1.0]))
    layers = np.zeros((2, 4, 3, 1), np.uint8)
    layers[0, :2], layers[1, 1:] = 1, 1
    path = tmp_path / "m.seg.nrrd"
    segments = [("myocardium", 1), ("lv_cavity", 1)]
    path.write_bytes(seg_nrrd(layers, segments, origin="(1.5,1,0)", layer_0="0", layer_1="1"))
    truth = np.zeros((1, 8, 9), np.uint8)
    truth[0, 2:5, 3:5], truth[0, 2:5, 4:7] = 2, 1
    np.testing.assert_array_equal(read_mask_on(path, grid, CAMUS_LABELS, stack=False), truth)


@pytest.mark.parametrize(
    ("value", "taken"), [(0.9999999, True), (1.0000002, True), (0.5, False), (0.9, False)]
)
def test_values_a_rounding_error_beside_a_whole_number_are_taken(
    tmp_path: Path, value: float, taken: bool
) -> None:
    array = numbered((7, 6, 1)).astype(np.float32)
    path = save(array * np.float32(value), STILL, tmp_path / "m.nii.gz")
    grid = grid_of(numbered((7, 6, 1)), STILL)
    if taken:
        result = read_mask_on(path, grid, CAMUS_LABELS, stack=False)
        np.testing.assert_array_equal(result, grid.to_frames(array))
    else:
        with pytest.raises(ImageContentError, match="must be whole numbers"):
            read_mask_on(path, grid, CAMUS_LABELS, stack=False)


@pytest.mark.parametrize(
    ("name", "wrong", "advice"),
    [("m.nii.gz", "m.nii", r"rename it to m\.nii\.gz"), ("m.nii", "m.nii.gz", r"rename it to m\.nii$")],
)
def test_gzip_under_a_wrong_name_is_reported(tmp_path: Path, name: str, wrong: str, advice: str) -> None:
    path = save(numbered((7, 6, 1)), STILL, tmp_path / name).rename(tmp_path / wrong)
    for read in (nifti.read, nifti.read_mask):
        with pytest.raises(ImageReadError, match=advice):
            read(path)


def test_an_image_with_two_distances_between_its_slices_takes_no_stack() -> None:
    array = numbered((7, 6, 4))
    grid = Grid(array.shape, OBLIQUE, step_problem="the distance between slices is 8 mm and 5 mm")
    own = grid_of(array, OBLIQUE @ np.diag([1.0, 1.0, 0.625, 1.0]))
    with pytest.raises(ImageContentError, match="in its image the distance between slices is 8 mm and 5 mm"):
        onto_image(own.to_frames(array), own, grid, name="m", stack=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("step", [0.04, 1.0])
def test_a_mask_of_a_cine_that_begins_where_it_does_is_not_turned_back_in_time(step: float) -> None:
    array = numbered((7, 6, 5))
    grid = grid_of(array, np.diag([-0.5, -0.4, -0.04, 1.0]))
    own = grid_of(array, np.diag([-0.5, -0.4, step, 1.0]))
    moved = onto_image(own.to_frames(array), own, grid, name="m", stack=False)  # type: ignore[arg-type]
    np.testing.assert_array_equal(moved, grid.to_frames(array))


def test_an_identity_that_lies_on_its_image_is_joined_by_it() -> None:
    array = numbered((7, 6, 1))
    image = reordered(array, np.eye(4), ((0, 1, 2), (-1, -1, 1)))
    grid, own = grid_of(*image), grid_of(array, np.eye(4))
    moved = onto_image(own.to_frames(array), own, grid, name="m", stack=False)  # type: ignore[arg-type]
    np.testing.assert_array_equal(grid.to_disk(moved), image[0])


@pytest.mark.parametrize("written", ["{}.0", "+{}", " {} "])
def test_label_values_of_segments_are_read_however_they_are_written(tmp_path: Path, written: str) -> None:
    array = numbered((8, 6, 1))
    path = tmp_path / "m.seg.nrrd"
    values = zip(NAMES, (3, 1, 2), strict=True)
    segments = [(name, written.format(value)) for name, value in values]
    path.write_bytes(seg_nrrd(np.array([0, 3, 1, 2], np.uint8)[array], segments))  # type: ignore[arg-type]
    grid = grid_of(array, np.diag([-0.5, -0.5, 1.0, 1.0]))
    np.testing.assert_array_equal(read_mask_on(path, grid, CAMUS_LABELS, stack=False), grid.to_frames(array))


@pytest.mark.parametrize(
    ("values", "reason"),
    [((1, 1, 2), "two segments have the label value 1"), (("a", 1, 2), "Segment0_LabelValue is 'a'")],
)
def test_label_values_that_say_two_things_or_nothing_are_refused(
    tmp_path: Path, values: tuple[int, ...], reason: str
) -> None:
    array = numbered((8, 6, 1)) % 3
    path = tmp_path / "m.seg.nrrd"
    path.write_bytes(seg_nrrd(array, list(zip(NAMES, values, strict=True))))
    with pytest.raises(ImageContentError, match=reason):
        read_mask_on(path, grid_of(array, np.diag([-0.5, -0.5, 1.0, 1.0])), CAMUS_LABELS, stack=False)


def test_a_mask_in_the_geometry_of_a_sheared_stacks_view_is_the_stacks() -> None:
    array = numbered((7, 6, 4))
    sheared = OBLIQUE.copy()
    sheared[:3, 2] += (4.0, 2.0, 0.0)
    grid = grid_of(array, sheared)
    shown = shown_grid(grid, cine=False)
    assert not opens_as_shown(grid, cine=False) and not shown.is_sheared
    assert shown.slice_spacing_mm == pytest.approx(grid.slice_spacing_mm)
    moved = onto_image(grid.to_frames(array), shown, grid, name="m", stack=True)  # type: ignore[arg-type]
    np.testing.assert_array_equal(moved, grid.to_frames(array))
