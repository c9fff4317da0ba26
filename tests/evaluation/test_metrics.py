"""Overlap and boundary distances against closed forms, SciPy, SimpleITK and MONAI's own functions."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_iou
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from cardiolabel.domain import ACDC_LABELS, CAMUS_LABELS, Spacing
from cardiolabel.errors import ImageContentError, MeasurementError
from cardiolabel.evaluation.metrics import (
    APART,
    IN_NEITHER,
    NO_SPACING,
    NOT_IN_REFERENCE,
    NOT_PREDICTED,
    Score,
    boundary_distances,
    score,
)
from cardiolabel.measurements.hausdorff import hausdorff_mm
from cardiolabel.measurements.mask_agreement import compare_masks
from cardiolabel.measurements.structures import structure_values

from ..measurements.shapes import MM, Ventricle
from ..measurements.strategies import spacings, ventricles

Masks = NDArray[np.uint8]
Inside = NDArray[np.bool_]
OBLONG = Spacing(row_mm=0.3, col_mm=0.7)


def disc(row_mm: float, col_mm: float, radius_mm: float, spacing: Spacing) -> Inside:
    rows, cols = np.mgrid[:200, :200]
    away_mm = np.hypot(rows * spacing.row_mm - row_mm, cols * spacing.col_mm - col_mm)
    return np.asarray(away_mm <= radius_mm)


def square(top: int, left: int, *, side: int = 20) -> Inside:
    inside = np.zeros((80, 90), bool)
    inside[top : top + side, left : left + side] = True
    return inside


def by_scipy(one: Inside, other: Inside, spacing: Spacing) -> tuple[float, float, float]:
    """The three distances from distance maps."""
    size = (spacing.row_mm, spacing.col_mm)
    edges = [np.pad(mask & ~binary_erosion(mask), 1) for mask in (one, other)]
    present = distance_transform_edt(~edges[1], sampling=size)[edges[0]]
    back = distance_transform_edt(~edges[0], sampling=size)[edges[1]]
    both = np.concatenate([present, back])
    hd95 = max(np.percentile(present, 95), np.percentile(back, 95))
    return float(both.max()), float(hd95), float(both.mean())


def by_simpleitk(one: Inside, other: Inside, spacing: Spacing) -> float:
    """Hausdorff distance of the two boundaries."""
    images = []
    for mask in (one, other):
        image = sitk.GetImageFromArray((mask & ~binary_erosion(mask)).astype(np.uint8))
        image.SetSpacing((spacing.col_mm, spacing.row_mm))
        images.append(image)
    measured = sitk.HausdorffDistanceImageFilter()
    measured.Execute(*images)
    return float(measured.GetHausdorffDistance())


def by_monai(one: Inside, other: Inside, spacing: Spacing) -> tuple[float, float, float]:
    ours, theirs = (torch.from_numpy(mask)[None, None] for mask in (one, other))
    size = [spacing.row_mm, spacing.col_mm]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        hd, hd95 = (
            compute_hausdorff_distance(
                ours, theirs, include_background=True, percentile=percentile, spacing=size
            ).item()
            for percentile in (None, 95)
        )
        msd = compute_average_surface_distance(
            ours, theirs, include_background=True, symmetric=True, spacing=size
        ).item()
    return hd, hd95, msd


def all_three(one: Inside, other: Inside, spacing: Spacing) -> tuple[float, float, float]:
    result = boundary_distances(one, other, spacing=spacing)
    return result.hd_mm, result.hd95_mm, result.msd_mm


@settings(max_examples=30)
@given(ventricles, ventricles, spacings)
def test_ventricles_against_other_implementations(one: Ventricle, other: Ventricle, spacing: Spacing) -> None:
    ours, theirs = (ventricle.mask(spacing) == 1 for ventricle in (one, other))
    result = all_three(ours, theirs, spacing)
    assert result == pytest.approx(by_scipy(ours, theirs, spacing), rel=1e-5, abs=1e-5)
    assert result == pytest.approx(by_monai(ours, theirs, spacing), rel=1e-5, abs=1e-5)
    assert result[0] == pytest.approx(by_simpleitk(ours, theirs, spacing), rel=1e-4, abs=1e-4)
    values = (1,)
    assert result[0] == pytest.approx(
        hausdorff_mm(ours.astype(np.uint8), theirs.astype(np.uint8), values, spacing=spacing), rel=1e-5
    )


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), spacings)
def test_noise_against_other_implementations(seed: int, spacing: Spacing) -> None:
    """Ragged, in pieces, at the edges of the image."""
    rng = np.random.default_rng(seed)
    ours, theirs = rng.random((2, 12, 17)) < rng.uniform(0.05, 0.9)
    if ours.any() and theirs.any():
        result = all_three(ours, theirs, spacing)
        assert result == pytest.approx(by_scipy(ours, theirs, spacing), rel=1e-5, abs=1e-5)
        assert result == pytest.approx(by_monai(ours, theirs, spacing), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(("rows", "cols"), [(0, 0), (3, 0), (0, 5), (4, 6), (-2, 3)])
def test_a_square_moved(rows: int, cols: int) -> None:
    result = boundary_distances(square(20, 20), square(20 + rows, 20 + cols), spacing=OBLONG)
    assert result.hd_mm == pytest.approx(np.hypot(0.3 * rows, 0.7 * cols), abs=1e-5)
    assert result.msd_mm <= result.hd95_mm <= result.hd_mm


def test_a_line_moved_sideways_has_one_distance() -> None:
    lines = np.zeros((2, 40, 40), bool)
    lines[0, 5:35, 10] = lines[1, 5:35, 13] = True
    assert all_three(*lines, OBLONG) == pytest.approx((2.1, 2.1, 2.1), abs=1e-5)


@pytest.mark.parametrize("spacing", [MM, Spacing(0.3, 0.3), Spacing(0.3, 0.5)])
def test_concentric_discs(spacing: Spacing) -> None:
    """Everywhere 4 mm apart, but for the size of a pixel."""
    outer, inner = (disc(28, 29, radius, spacing) for radius in (20, 16))
    pixel_mm = float(np.hypot(spacing.row_mm, spacing.col_mm))
    for distance in all_three(outer, inner, spacing):
        assert distance == pytest.approx(4, abs=pixel_mm)


def test_one_spike_is_a_matter_of_the_hausdorff_distance_only() -> None:
    spiked = square(20, 20, side=30)
    spiked[35, 50:70] = True
    result = boundary_distances(spiked, square(20, 20, side=30), spacing=MM)
    assert result.hd_mm == pytest.approx(20)
    assert result.hd95_mm > 0.1 * result.hd_mm  # 20 of 136 pixels are more than 5 %
    assert result.msd_mm < 2


@settings(max_examples=20)
@given(ventricles, spacings, st.floats(0.2, 5))
def test_scale_flips_and_sides(ventricle: Ventricle, spacing: Spacing, factor: float) -> None:
    mask = ventricle.mask(spacing)
    first, other = mask == 1, np.isin(mask, (1, 2))
    result = all_three(first, other, spacing)
    scaled = Spacing(factor * spacing.row_mm, factor * spacing.col_mm)
    assert all_three(first, other, scaled) == pytest.approx(np.multiply(result, factor), rel=1e-4)
    assert all_three(first[::-1], other[::-1], spacing) == pytest.approx(result, rel=1e-5)
    assert all_three(first.T, other.T, Spacing(spacing.col_mm, spacing.row_mm)) == pytest.approx(
        result, rel=1e-5
    )
    assert all_three(other, first, spacing) == pytest.approx(result, rel=1e-5)


def test_the_edge_of_the_image_is_a_boundary() -> None:
    mask = np.zeros((2, 20, 20), bool)
    mask[0, :10], mask[1, :12] = True, True
    assert all_three(*mask, MM) == pytest.approx(all_three(*np.pad(mask, ((0, 0), (3, 3), (3, 3))), MM))


def test_distances_of_nothing() -> None:
    nothing, some = np.zeros((80, 90), bool), square(3, 3)
    for ours, theirs, reason in (
        (some, nothing, NOT_IN_REFERENCE),
        (nothing, some, NOT_PREDICTED),
        (nothing, nothing, IN_NEITHER),
    ):
        with pytest.raises(MeasurementError, match=reason):
            boundary_distances(ours, theirs, spacing=MM)


def test_distances_of_other_shapes() -> None:
    with pytest.raises(ImageContentError, match="one shape"):
        boundary_distances(square(3, 3), square(3, 3)[1:], spacing=MM)
    with pytest.raises(ImageContentError, match=r"\(H, W\)"):
        boundary_distances(square(3, 3)[None], square(3, 3)[None], spacing=MM)


# Scores of images


def scored(
    predicted: Masks, reference: Masks, *, spacing: Spacing | None = MM, volume: bool = False
) -> dict[str, Score]:
    labels = ACDC_LABELS if volume else CAMUS_LABELS
    return {
        name: score(predicted, reference, structure=name, values=values, spacing=spacing, volume=volume)
        for name, values in structure_values(labels).items()
    }


@pytest.fixture
def mask() -> Masks:
    return Ventricle().mask(MM)[None]


def test_a_mask_against_itself(mask: Masks) -> None:
    for result in scored(mask, mask).values():
        assert (result.dice, result.iou, result.pixel_accuracy) == (1, 1, 1)
        assert (result.hd_mm, result.hd95_mm, result.msd_mm) == (0, 0, 0)
        assert (result.predicted_planes, result.reference_planes, result.shared_planes) == (1, 1, 1)
        assert result.overlap_reason == result.distance_reason == ""


@settings(max_examples=20)
@given(ventricles, ventricles, spacings)
def test_overlap_is_that_of_counted_pixels_and_of_monai(
    one: Ventricle, other: Ventricle, spacing: Spacing
) -> None:
    ours, theirs = one.mask(spacing), other.mask(spacing)
    result = scored(ours[None], theirs[None], spacing=spacing)
    for name, values in structure_values(CAMUS_LABELS).items():
        a, b = np.isin(ours, values), np.isin(theirs, values)
        assert result[name].dice == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
        assert result[name].iou == pytest.approx((a & b).sum() / (a | b).sum())
        assert result[name].pixel_accuracy == pytest.approx((a == b).mean())
        iou = compute_iou(torch.from_numpy(a)[None, None], torch.from_numpy(b)[None, None])
        assert result[name].iou == pytest.approx(iou.item(), abs=1e-6)


def test_frames_agree_with_the_comparison_of_annotators(mask: Masks) -> None:
    """Another part of the product compares masks too, with a Hausdorff distance of its own."""
    reference = np.concatenate([mask, Ventricle(radius_mm=20.0).mask(MM)[None], mask])
    predicted = np.concatenate([np.roll(mask, 2, axis=2), mask, np.roll(mask, 4, axis=1)])
    predicted[1][predicted[1] == 3] = 0
    result = scored(predicted, reference, spacing=OBLONG)
    for each in compare_masks(predicted, reference, labels=CAMUS_LABELS, spacing=OBLONG, stack=False):
        assert result[each.structure].dice == pytest.approx(each.dice)
        assert result[each.structure].hd_mm == pytest.approx(each.hd_mm, rel=1e-5)
        assert result[each.structure].shared_planes == each.shared_frames
    assert result["left_atrium"].shared_planes == 2


def test_a_structure_that_only_one_mask_has(mask: Masks) -> None:
    without = np.where(mask == 3, 0, mask).astype(np.uint8)
    missed, invented = scored(without, mask)["left_atrium"], scored(mask, without)["left_atrium"]
    for result, reason in ((missed, NOT_PREDICTED), (invented, NOT_IN_REFERENCE)):
        assert (result.dice, result.iou, result.overlap_reason) == (0, 0, "")
        assert result.pixel_accuracy is not None and 0 < result.pixel_accuracy < 1
        assert result.hd_mm is result.hd95_mm is result.msd_mm is None
        assert result.distance_reason == reason
    assert (missed.predicted_planes, missed.reference_planes, missed.shared_planes) == (0, 1, 0)


def test_a_structure_that_no_mask_has_is_not_measured(mask: Masks) -> None:
    without = np.where(mask == 3, 0, mask).astype(np.uint8)
    result = scored(without, without)["left_atrium"]
    assert result.dice is result.iou is result.pixel_accuracy is result.hd_mm is None
    assert result.overlap_reason == result.distance_reason == IN_NEITHER


def test_no_pixel_size_is_no_distance(mask: Masks) -> None:
    result = scored(np.roll(mask, 2, axis=1), mask, spacing=None)["lv_cavity"]
    assert result.dice is not None and 0.9 < result.dice < 1
    assert (result.hd_mm, result.distance_reason) == (None, NO_SPACING)


def test_a_cavity_alone_says_nothing_about_the_epicardium(mask: Masks) -> None:
    alone = np.where(mask == 1, 1, 0).astype(np.uint8)
    result = scored(alone, mask)
    assert result["lv_cavity"].dice == 1
    assert (result["epicardium"].dice, result["epicardium"].distance_reason) == (0, NOT_PREDICTED)


def test_frames_are_averaged(mask: Masks) -> None:
    moved = np.roll(mask, 6, axis=2)
    nothing = np.zeros_like(mask)
    each = scored(moved, mask)["lv_cavity"]
    result = scored(
        np.concatenate([mask, moved, nothing, nothing]), np.concatenate([mask, mask, mask, nothing])
    )["lv_cavity"]
    assert result.dice == pytest.approx((1 + each.dice + 0) / 3)  # a frame that nobody labels counts not
    assert result.iou == pytest.approx((1 + each.iou + 0) / 3)
    assert result.hd_mm == pytest.approx(each.hd_mm / 2)
    assert (result.predicted_planes, result.reference_planes, result.shared_planes) == (2, 3, 2)


def test_frames_that_take_turns_have_no_distance(mask: Masks) -> None:
    nothing = np.zeros_like(mask)
    result = scored(np.concatenate([mask, nothing]), np.concatenate([nothing, mask]))["lv_cavity"]
    assert (result.dice, result.hd_mm, result.distance_reason) == (0, None, APART)


def rings(radii: tuple[float, ...]) -> Masks:
    """Slices of a short-axis stack; none where the radius is 0."""
    rows, cols = np.mgrid[:70, :70]
    away = np.hypot(rows - 35, cols - 35)
    masks = np.zeros((len(radii), 70, 70), np.uint8)
    for mask, radius in zip(masks, radii, strict=True):
        if radius:
            mask[away <= radius + 6], mask[away <= radius] = 2, 3
    return masks


def test_a_stack_has_the_dice_of_its_volume_and_the_distances_of_its_slices() -> None:
    reference, predicted = rings((20, 15, 10, 0)), rings((22, 15, 0, 4))
    result = scored(predicted, reference, spacing=OBLONG, volume=True)["lv_cavity"]
    ours, theirs = predicted == 3, reference == 3
    assert result.dice == pytest.approx(2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()))
    assert result.iou == pytest.approx((ours & theirs).sum() / (ours | theirs).sum())
    assert result.pixel_accuracy == pytest.approx((ours == theirs).mean())
    slices = [boundary_distances(ours[at], theirs[at], spacing=OBLONG) for at in (0, 1)]
    assert result.hd_mm == pytest.approx(np.mean([slice_.hd_mm for slice_ in slices]))
    assert result.hd95_mm == pytest.approx(np.mean([slice_.hd95_mm for slice_ in slices]))
    assert result.msd_mm == pytest.approx(np.mean([slice_.msd_mm for slice_ in slices]))
    assert (result.predicted_planes, result.reference_planes, result.shared_planes) == (3, 3, 2)


def test_a_stack_without_shared_slices() -> None:
    result = scored(rings((20, 0)), rings((0, 20)), volume=True)["lv_cavity"]
    assert (result.dice, result.hd_mm, result.distance_reason) == (0, None, APART)
    nobody = scored(rings((20, 0)), rings((0, 20)), volume=True)["right_ventricle"]
    assert (nobody.dice, nobody.overlap_reason) == (None, IN_NEITHER)


def test_an_apex_of_muscle_alone_belongs_to_the_epicardium_of_a_stack() -> None:
    masks = rings((20, 15, 10))
    masks[2][masks[2] == 3] = 2
    result = scored(masks, masks, volume=True)["epicardium"]
    assert (result.dice, result.shared_planes) == (1, 3)


def test_a_stack_without_any_wall_has_no_epicardium() -> None:
    reference = rings((20, 15, 10))
    alone = np.where(reference == 3, 3, 0).astype(np.uint8)
    result = scored(alone, reference, volume=True)["epicardium"]
    assert (result.dice, result.predicted_planes, result.distance_reason) == (0, 0, NOT_PREDICTED)


def test_masks_of_other_shapes(mask: Masks) -> None:
    with pytest.raises(ImageContentError, match=r"\(T, H, W\)"):
        scored(mask[0], mask[0])
    with pytest.raises(ImageContentError, match="one shape"):
        scored(mask, mask[:, 1:])


def test_a_score_is_a_value(mask: Masks) -> None:
    result = scored(mask, mask)["lv_cavity"]
    assert replace(result, dice=0.5) != result == scored(mask, mask)["lv_cavity"]
