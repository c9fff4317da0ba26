"""Overlap, distance and limits of agreement, against closed forms and other implementations."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import directed_hausdorff

from cardiolabel.domain import ACDC_LABELS, CAMUS_LABELS, LabelSet, Spacing
from cardiolabel.errors import ImageContentError, MeasurementError
from cardiolabel.measurements.agreement import (
    agreement,
    compare_masks,
    dice,
    hausdorff_mm,
    structure_values,
)

from .shapes import CAVITY_ONLY, MM, Ventricle
from .strategies import spacings, ventricles

OBLONG = Spacing(row_mm=0.3, col_mm=0.7)
CAVITY = (1,)


def rectangle(top: int, left: int, *, height: int = 20, width: int = 30) -> NDArray[np.uint8]:
    mask = np.zeros((80, 90), np.uint8)
    mask[top : top + height, left : left + width] = 1
    return mask


def disc(row_mm: float, col_mm: float, radius_mm: float, spacing: Spacing) -> NDArray[np.uint8]:
    rows, cols = np.mgrid[:200, :200]
    away_mm = np.hypot(rows * spacing.row_mm - row_mm, cols * spacing.col_mm - col_mm)
    return (away_mm <= radius_mm).astype(np.uint8)


def boundary_mm(mask: NDArray[np.uint8], values: tuple[int, ...], spacing: Spacing) -> NDArray[np.float64]:
    """Centres of the pixels with one of four neighbours outside, found pixel by pixel."""
    inside = set(map(tuple, np.argwhere(np.isin(mask, values)).tolist()))
    found = [
        (row, col)
        for row, col in sorted(inside)
        if not {(row + 1, col), (row - 1, col), (row, col + 1), (row, col - 1)} <= inside
    ]
    return np.array(found) * (spacing.row_mm, spacing.col_mm)


# Structures


def test_structures_of_label_sets() -> None:
    assert structure_values(CAMUS_LABELS) == {
        "lv_cavity": (1,), "myocardium": (2,), "left_atrium": (3,), "epicardium": (1, 2)
    }  # fmt: skip
    assert structure_values(ACDC_LABELS)["epicardium"] == (3, 2)
    assert structure_values(CAVITY_ONLY) == {"lv_cavity": (1,)}


# Dice


def test_dice_of_shifted_rectangles() -> None:
    assert dice(rectangle(10, 10), rectangle(15, 10), CAVITY) == 0.75
    assert dice(rectangle(10, 10), rectangle(10, 10), CAVITY) == 1
    assert dice(rectangle(10, 10), rectangle(40, 50), CAVITY) == 0
    assert math.isnan(dice(rectangle(10, 10), rectangle(10, 10), (3,)))


def test_dice_takes_a_structure_of_several_values_as_one() -> None:
    ours, theirs = rectangle(10, 10), rectangle(10, 10)
    theirs[theirs == 1] = 2
    assert dice(ours, theirs, (1, 2)) == 1


@pytest.mark.parametrize("measured", [dice, lambda *given: hausdorff_mm(*given, spacing=MM)])
def test_masks_of_two_shapes_are_refused(measured: object) -> None:
    with pytest.raises(ImageContentError, match=r"got \(80, 90\) and \(80, 1\)"):
        measured(rectangle(1, 1), rectangle(1, 1)[:, :1], CAVITY)  # type: ignore[operator]


# Hausdorff distance


@pytest.mark.parametrize(("down", "right"), [(0, 0), (7, 0), (0, -4), (3, 4)])
def test_a_shifted_rectangle_is_as_far_as_its_corner_moved(down: int, right: int) -> None:
    found = hausdorff_mm(rectangle(20, 20), rectangle(20 + down, 20 + right), CAVITY, spacing=OBLONG)
    assert found == pytest.approx(math.hypot(down * OBLONG.row_mm, right * OBLONG.col_mm))


@pytest.mark.parametrize("spacing", [MM, Spacing(0.5, 0.8), Spacing(0.8, 0.45)])
@pytest.mark.parametrize(("shift_mm", "growth_mm"), [(6.0, 0.0), (0.0, 5.0), (4.0, 3.0)])
def test_a_shifted_and_grown_circle(shift_mm: float, growth_mm: float, spacing: Spacing) -> None:
    ours = disc(45, 45, 20, spacing)
    theirs = disc(45, 45 + shift_mm, 20 + growth_mm, spacing)
    found = hausdorff_mm(ours, theirs, CAVITY, spacing=spacing)
    assert found == pytest.approx(shift_mm + growth_mm, abs=1.5 * max(spacing.row_mm, spacing.col_mm))


def test_one_side_may_be_near_while_the_other_is_far() -> None:
    far = rectangle(5, 5)
    far[70, 80] = 1  # a stray pixel counts in full
    assert hausdorff_mm(rectangle(5, 5), far, CAVITY, spacing=MM) == pytest.approx(math.hypot(46, 46))
    assert hausdorff_mm(far, rectangle(5, 5), CAVITY, spacing=MM) == pytest.approx(math.hypot(46, 46))


def test_a_hole_has_a_boundary() -> None:
    hollow = rectangle(20, 20, height=31, width=31)
    hollow[34:37, 34:37] = 0
    whole = rectangle(20, 20, height=31, width=31)
    assert hausdorff_mm(hollow, whole, CAVITY, spacing=MM) == 13


def test_a_structure_at_the_images_edge() -> None:
    mask = np.ones((6, 9), np.uint8)
    one = np.zeros((6, 9), np.uint8)
    one[0, 0] = 1
    assert hausdorff_mm(mask, one, CAVITY, spacing=OBLONG) == pytest.approx(math.hypot(5 * 0.3, 8 * 0.7))


@pytest.mark.parametrize("values", structure_values(CAMUS_LABELS).values(), ids=str)
@settings(max_examples=8)
@given(ours=ventricles, theirs=ventricles, spacing=spacings)
def test_another_implementation_agrees(
    values: tuple[int, ...], ours: Ventricle, theirs: Ventricle, spacing: Spacing
) -> None:
    coarse = Spacing(3 * spacing.row_mm, 3 * spacing.col_mm)
    one, other = ours.mask(coarse), theirs.mask(coarse)
    found = hausdorff_mm(one, other, values, spacing=coarse)
    edges = boundary_mm(one, values, coarse), boundary_mm(other, values, coarse)
    pointwise = max(directed_hausdorff(*edges)[0], directed_hausdorff(*edges[::-1])[0])
    assert found == pytest.approx(pointwise)


@settings(max_examples=30)
@given(ours=ventricles, theirs=ventricles, spacing=spacings, factor=st.floats(0.1, 8))
def test_spacing_scales_the_distance_and_swapping_changes_nothing(
    ours: Ventricle, theirs: Ventricle, spacing: Spacing, factor: float
) -> None:
    one, other = ours.mask(MM), theirs.mask(MM)
    found = hausdorff_mm(one, other, CAVITY, spacing=spacing)
    scaled = Spacing(spacing.row_mm * factor, spacing.col_mm * factor)
    assert hausdorff_mm(one, other, CAVITY, spacing=scaled) == pytest.approx(factor * found)
    assert hausdorff_mm(other, one, CAVITY, spacing=spacing) == found
    assert hausdorff_mm(one, one, CAVITY, spacing=spacing) == 0
    assert hausdorff_mm(one.T, other.T, CAVITY, spacing=Spacing(spacing.col_mm, spacing.row_mm)) == (
        pytest.approx(found)
    )


def test_no_distance_has_a_reason() -> None:
    drawn, empty = rectangle(5, 5), np.zeros((80, 90), np.uint8)
    with pytest.raises(MeasurementError, match=r"^the file carries no pixel spacing$"):
        hausdorff_mm(drawn, drawn, CAVITY, spacing=None)
    for masks, who in (
        ((empty, drawn), "the first mask"),
        ((drawn, empty), "the second mask"),
        ((empty, empty), "the first and the second mask"),
    ):
        with pytest.raises(MeasurementError, match=f"^{who} does not have the structure$"):
            hausdorff_mm(*masks, CAVITY, spacing=MM)


def test_a_distance_is_of_one_frame() -> None:
    with pytest.raises(ImageContentError, match=r"\(H, W\)"):
        hausdorff_mm(rectangle(5, 5)[None], rectangle(5, 5)[None], CAVITY, spacing=MM)


# Masks of whole images


def test_identical_masks_agree_fully() -> None:
    masks = np.stack([Ventricle().mask(MM), Ventricle(radius_mm=18).mask(MM)])
    found = compare_masks(masks, masks, labels=CAMUS_LABELS, spacing=MM, stack=False)
    assert [each.structure for each in found] == list(structure_values(CAMUS_LABELS))
    for each in found:
        assert (each.dice, each.hd_mm, each.worst_hd_mm, each.worst_frame) == (1, 0, 0, 0)
        assert (each.frames, each.shared_frames, each.reasons) == (2, 2, ())


def test_a_cine_is_the_mean_over_its_frames_and_names_the_worst() -> None:
    ours = np.stack([rectangle(20, 20)] * 3)
    theirs = np.stack([rectangle(20, 20), rectangle(30, 20), rectangle(25, 20)])
    (found,) = compare_masks(ours, theirs, labels=CAVITY_ONLY, spacing=OBLONG, stack=False)
    assert found.dice == pytest.approx((1 + 0.5 + 0.75) / 3)
    assert found.hd_mm == pytest.approx((0 + 10 + 5) / 3 * OBLONG.row_mm)
    assert (found.worst_hd_mm, found.worst_frame) == (pytest.approx(10 * OBLONG.row_mm), 1)


def test_frames_of_a_cine_that_only_one_labelled_say_nothing() -> None:
    nothing = np.zeros((80, 90), np.uint8)
    ours = np.stack([nothing, rectangle(20, 20), rectangle(20, 20), nothing])
    theirs = np.stack([nothing, nothing, rectangle(24, 20), rectangle(20, 20)])
    (found,) = compare_masks(ours, theirs, labels=CAVITY_ONLY, spacing=MM, stack=False)
    assert (found.frames, found.shared_frames, found.reasons) == (1, 1, ())
    assert (found.dice, found.hd_mm, found.worst_frame) == (pytest.approx(0.8), 4, 2)
    apart = compare_masks(ours[:2], theirs[:2], labels=CAVITY_ONLY, spacing=MM, stack=False)[0]
    assert apart.dice is None
    assert apart.reasons == (
        "neither the first nor the second has the LV cavity in the 0 frames that both labelled",
    )


def test_a_structure_that_one_left_out_counts_as_dice_0_and_has_no_distance() -> None:
    ours = np.stack([rectangle(20, 20), rectangle(20, 20)])
    theirs = np.stack([rectangle(24, 20), np.where(rectangle(20, 20), 2, 0).astype(np.uint8)])
    cavity, *_ = compare_masks(
        ours, theirs, labels=CAMUS_LABELS, spacing=MM, stack=False, names=("anna", "ben")
    )
    assert (cavity.frames, cavity.shared_frames) == (2, 1)
    assert cavity.dice == pytest.approx(0.8 / 2)
    assert (cavity.hd_mm, cavity.worst_frame) == (4, 0)
    assert cavity.reasons == (
        "only anna has the LV cavity in 1 of 2 frames: Dice is 0 there, and there is no distance",
    )


def test_two_empty_masks_measure_nothing() -> None:
    nothing = np.zeros((2, 8, 8), np.uint8)
    for each in compare_masks(nothing, nothing, labels=CAMUS_LABELS, spacing=MM, stack=False):
        assert (each.dice, each.hd_mm, each.worst_hd_mm, each.worst_frame) == (None,) * 4
        assert each.reasons[0].startswith("neither the first nor the second has the ")


def test_without_pixel_spacing_there_is_a_dice_and_a_reason() -> None:
    (found,) = compare_masks(
        rectangle(20, 20)[None], rectangle(30, 20)[None], labels=CAVITY_ONLY, spacing=None, stack=False
    )
    assert (found.dice, found.hd_mm, found.worst_frame) == (0.5, None, None)
    assert found.reasons == ("no distance in mm: the file carries no pixel spacing",)


def test_a_cavity_alone_is_no_epicardium() -> None:
    whole = Ventricle().mask(MM)
    cavity = np.where(whole == 1, 1, 0).astype(np.uint8)
    one_sided = compare_masks(whole[None], cavity[None], labels=CAMUS_LABELS, spacing=MM, stack=False)[-1]
    assert (one_sided.structure, one_sided.dice, one_sided.hd_mm) == ("epicardium", 0, None)
    neither = compare_masks(cavity[None], cavity[None], labels=CAMUS_LABELS, spacing=MM, stack=False)[-1]
    assert (neither.dice, neither.reasons) == (
        None, ("neither the first nor the second has the epicardium",)
    )  # fmt: skip


def test_a_thicker_wall_moves_the_epicardium_only() -> None:
    thin, thick = Ventricle(wall_mm=7), Ventricle(wall_mm=11)
    found = {
        each.structure: each
        for each in compare_masks(
            thin.mask(MM)[None], thick.mask(MM)[None], labels=CAMUS_LABELS, spacing=MM, stack=False
        )
    }
    assert found["lv_cavity"].hd_mm == 0
    assert found["epicardium"].hd_mm == pytest.approx(4, abs=1.2)
    assert found["epicardium"].dice > found["myocardium"].dice  # type: ignore[operator]


def test_masks_are_compared_by_name_and_not_by_value() -> None:
    swapped = LabelSet("swapped", (("lv_cavity", 2), ("myocardium", 1)))
    masks = np.where(Ventricle().mask(MM) == 1, 2, 0).astype(np.uint8)[None]
    found = {
        each.structure: each for each in compare_masks(masks, masks, labels=swapped, spacing=MM, stack=False)
    }
    assert found["lv_cavity"].dice == 1 and found["myocardium"].dice is None


@pytest.mark.parametrize("shape", [(8, 8), (2, 8, 8), (1, 8, 9)])
def test_masks_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    ours, theirs = np.ones((1, 8, 8), np.uint8), np.ones(shape, np.uint8)
    with pytest.raises(ImageContentError, match=r"\(T, H, W\)"):
        compare_masks(ours, theirs, labels=CAMUS_LABELS, spacing=MM, stack=False)
    if len(shape) == 2:
        with pytest.raises(ImageContentError, match=r"\(T, H, W\)"):
            compare_masks(theirs, theirs, labels=CAMUS_LABELS, spacing=MM, stack=False)


# Bias and limits

pairs_of_values = st.lists(st.tuples(st.floats(5, 90), st.floats(5, 90)), min_size=3, max_size=20)


def test_bias_and_limits_of_a_worked_example() -> None:
    second = np.array([40.0, 50, 60, 70])
    found = agreement(second + np.array([1, 3, 5, 7]), second)
    sd = math.sqrt(20 / 3)
    assert (found.count, found.mae, found.bias) == (4, 4, 4)
    assert found.sd == pytest.approx(sd)
    assert found.limits == pytest.approx((4 - 1.96 * sd, 4 + 1.96 * sd))
    assert found.r == pytest.approx(1)
    # Student's t, 0.975, 3 degrees of freedom, from a printed table.
    assert found.bias_margin == pytest.approx(3.182 * sd / 2, rel=1e-3)
    assert found.limit_margin == pytest.approx(3.182 * sd * math.sqrt(3 / 4), rel=1e-3)


def test_limits_hold_95_percent_of_normal_differences() -> None:
    rng = np.random.default_rng(0)
    second = rng.uniform(20, 70, 20_000)
    first = second + rng.normal(-2, 5, second.size)
    found = agreement(first, second)
    lower, upper = found.limits
    assert np.mean((first - second > lower) & (first - second < upper)) == pytest.approx(0.95, abs=0.005)
    assert (found.bias, found.sd) == (pytest.approx(-2, abs=0.15), pytest.approx(5, rel=0.02))


@given(pairs_of_values)
def test_swapping_turns_the_sign(pairs: list[tuple[float, float]]) -> None:
    first, second = np.array(pairs).T
    one, other = agreement(first, second), agreement(second, first)
    assert other.bias == pytest.approx(-one.bias)
    assert other.limits == pytest.approx((-one.limits[1], -one.limits[0]))
    assert (other.mae, other.sd) == (pytest.approx(one.mae), pytest.approx(one.sd))
    same = agreement(first, first)
    assert (same.bias, same.sd, same.mae, same.limits) == (0, 0, 0, (0, 0))


def test_without_variation_there_is_no_correlation() -> None:
    found = agreement(np.full(3, 50.0), np.array([50.0, 51, 52]))
    assert found.r is None and found.bias == -1
    assert replace(found, r=0.0) != found


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_pairs_are_no_agreement(count: int) -> None:
    with pytest.raises(MeasurementError, match=f"^agreement needs at least 3 patients, found {count}$"):
        agreement(np.zeros(count), np.ones(count), cases="patients")


def test_values_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(ValueError, match="equal length"):
        agreement(np.zeros(4), np.zeros(3))
    with pytest.raises(ValueError, match="equal length"):
        agreement(np.zeros((4, 2)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="finite"):
        agreement(np.array([1.0, 2, np.nan]), np.zeros(3))


def test_slices_of_a_stack_that_only_one_labelled_are_a_difference() -> None:
    nothing = np.zeros((80, 90), np.uint8)
    ours = np.stack([nothing, rectangle(20, 20), rectangle(20, 20), rectangle(20, 20)])
    theirs = np.stack([nothing, nothing, rectangle(20, 20), nothing])
    (found,) = compare_masks(ours, theirs, labels=CAVITY_ONLY, spacing=MM, stack=True)
    assert (found.frames, found.shared_frames) == (3, 1)
    assert found.dice == pytest.approx(1 / 3) and found.hd_mm == 0
    assert "only the first has the LV cavity in 2 of 3 frames" in found.reasons[0]
