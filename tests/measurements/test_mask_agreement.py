"""Masks of whole images compared: which frames count, and what is said where nothing can be measured."""

from __future__ import annotations

import numpy as np
import pytest

from cardiolabel.domain import CAMUS_LABELS, LabelSet, Spacing
from cardiolabel.errors import ImageContentError
from cardiolabel.measurements.mask_agreement import compare_masks
from cardiolabel.measurements.structures import structure_values

from .shapes import CAVITY_ONLY, MM, Ventricle, rectangle

OBLONG = Spacing(row_mm=0.3, col_mm=0.7)


def test_identical_masks_agree_fully() -> None:
    masks = np.stack([Ventricle().mask(MM), Ventricle(radius_mm=18).mask(MM)])
    result = compare_masks(masks, masks, labels=CAMUS_LABELS, spacing=MM, stack=False)
    assert [each.structure for each in result] == list(structure_values(CAMUS_LABELS))
    for each in result:
        assert (each.dice, each.hd_mm, each.worst_hd_mm, each.worst_frame) == (1, 0, 0, 0)
        assert (each.frames, each.shared_frames, each.reasons) == (2, 2, ())


def test_a_cine_is_the_mean_over_its_frames_and_names_the_worst() -> None:
    ours = np.stack([rectangle(20, 20)] * 3)
    theirs = np.stack([rectangle(20, 20), rectangle(30, 20), rectangle(25, 20)])
    (result,) = compare_masks(ours, theirs, labels=CAVITY_ONLY, spacing=OBLONG, stack=False)
    assert result.dice == pytest.approx((1 + 0.5 + 0.75) / 3)
    assert result.hd_mm == pytest.approx((0 + 10 + 5) / 3 * OBLONG.row_mm)
    assert (result.worst_hd_mm, result.worst_frame) == (pytest.approx(10 * OBLONG.row_mm), 1)


def test_frames_of_a_cine_that_only_one_labelled_say_nothing() -> None:
    nothing = np.zeros((80, 90), np.uint8)
    ours = np.stack([nothing, rectangle(20, 20), rectangle(20, 20), nothing])
    theirs = np.stack([nothing, nothing, rectangle(24, 20), rectangle(20, 20)])
    (result,) = compare_masks(ours, theirs, labels=CAVITY_ONLY, spacing=MM, stack=False)
    assert (result.frames, result.shared_frames, result.reasons) == (1, 1, ())
    assert (result.dice, result.hd_mm, result.worst_frame) == (pytest.approx(0.8), 4, 2)
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
    (result,) = compare_masks(
        rectangle(20, 20)[None], rectangle(30, 20)[None], labels=CAVITY_ONLY, spacing=None, stack=False
    )
    assert (result.dice, result.hd_mm, result.worst_frame) == (0.5, None, None)
    assert result.reasons == ("no distance in mm: the file carries no pixel spacing",)


def test_a_cavity_alone_is_no_epicardium() -> None:
    whole = Ventricle().mask(MM)
    cavity = np.where(whole == 1, 1, 0).astype(np.uint8)
    one_sided = compare_masks(whole[None], cavity[None], labels=CAMUS_LABELS, spacing=MM, stack=False)[-1]
    assert (one_sided.structure, one_sided.dice, one_sided.hd_mm) == ("epicardium", 0, None)
    neither = compare_masks(cavity[None], cavity[None], labels=CAMUS_LABELS, spacing=MM, stack=False)[-1]
    assert (neither.dice, neither.reasons) == (None, ("neither the first nor the second has the epicardium",))


def test_a_thicker_wall_moves_the_epicardium_only() -> None:
    thin, thick = Ventricle(wall_mm=7), Ventricle(wall_mm=11)
    result = {
        each.structure: each
        for each in compare_masks(
            thin.mask(MM)[None], thick.mask(MM)[None], labels=CAMUS_LABELS, spacing=MM, stack=False
        )
    }
    assert result["lv_cavity"].hd_mm == 0
    assert result["epicardium"].hd_mm == pytest.approx(4, abs=1.2)
    assert result["epicardium"].dice > result["myocardium"].dice  # type: ignore[operator]


def test_masks_are_compared_by_name_and_not_by_value() -> None:
    swapped = LabelSet("swapped", (("lv_cavity", 2), ("myocardium", 1)))
    masks = np.where(Ventricle().mask(MM) == 1, 2, 0).astype(np.uint8)[None]
    result = {
        each.structure: each for each in compare_masks(masks, masks, labels=swapped, spacing=MM, stack=False)
    }
    assert result["lv_cavity"].dice == 1 and result["myocardium"].dice is None


@pytest.mark.parametrize("shape", [(8, 8), (2, 8, 8), (1, 8, 9)])
def test_masks_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    ours, theirs = np.ones((1, 8, 8), np.uint8), np.ones(shape, np.uint8)
    with pytest.raises(ImageContentError, match=r"\(T, H, W\)"):
        compare_masks(ours, theirs, labels=CAMUS_LABELS, spacing=MM, stack=False)
    if len(shape) == 2:
        with pytest.raises(ImageContentError, match=r"\(T, H, W\)"):
            compare_masks(theirs, theirs, labels=CAMUS_LABELS, spacing=MM, stack=False)


def test_slices_of_a_stack_that_only_one_labelled_are_a_difference() -> None:
    nothing = np.zeros((80, 90), np.uint8)
    ours = np.stack([nothing, rectangle(20, 20), rectangle(20, 20), rectangle(20, 20)])
    theirs = np.stack([nothing, nothing, rectangle(20, 20), nothing])
    (result,) = compare_masks(ours, theirs, labels=CAVITY_ONLY, spacing=MM, stack=True)
    assert (result.frames, result.shared_frames) == (3, 1)
    assert result.dice == pytest.approx(1 / 3) and result.hd_mm == 0
    assert "only the first has the LV cavity in 2 of 3 frames" in result.reasons[0]
