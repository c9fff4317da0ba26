"""What could be a heart and what could not: phantoms whole, and phantoms broken in one place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cardiolabel.datasets.phantom import make_study
from cardiolabel.domain import ACDC_LABELS, CAMUS_LABELS, LabelSet, Spacing
from cardiolabel.errors import ImageContentError
from cardiolabel.measurements.validity import (
    Fault,
    Finding,
    ValidityLimits,
    apical_findings,
    stack_findings,
)

from .shapes import CAVITY_ONLY, HALF_MM, MM, Ventricle
from .strategies import spacings, ventricles

Mask = NDArray[np.uint8]
CAVITY, WALL, ATRIUM = 1, 2, 3
OBLONG = Spacing(row_mm=0.4, col_mm=0.7)


def apical(
    mask: Mask,
    *,
    spacing: Spacing | None = HALF_MM,
    labels: LabelSet = CAMUS_LABELS,
    expected: tuple[str, ...] = ("lv_cavity", "myocardium", "left_atrium"),
    limits: ValidityLimits | None = None,
) -> list[str]:
    result = apical_findings(mask, labels=labels, spacing=spacing, expected=expected, limits=limits)
    return [str(finding) for finding in result]


@pytest.fixture
def mask() -> Mask:
    """An upright ventricle, apex up, 0.5 mm pixels, away from the edges."""
    return np.pad(Ventricle(cut=0.3).mask(HALF_MM), 10)


def place(mask: Mask, value: int) -> tuple[int, int]:
    """The middle of a structure."""
    row, col = np.argwhere(mask == value).mean(axis=0).round().astype(int)
    return int(row), int(col)


@settings(max_examples=25)
@given(ventricles, spacings, st.booleans(), st.integers(0, 3))
def test_a_ventricle_is_valid_however_it_lies(
    ventricle: Ventricle, spacing: Spacing, mirrored: bool, quarters: int
) -> None:
    mask = ventricle.mask(spacing)
    mask = np.rot90(mask[:, ::-1] if mirrored else mask, quarters)
    turned = Spacing(spacing.col_mm, spacing.row_mm) if quarters % 2 else spacing
    assert apical(np.ascontiguousarray(mask), spacing=turned) == []


@pytest.mark.parametrize("spacing", [MM, OBLONG, None])
def test_pixel_size_may_be_coarse_oblong_or_unknown(spacing: Spacing | None) -> None:
    assert apical(Ventricle(cut=0.3).mask(spacing or MM), spacing=spacing) == []


def test_every_frame_of_the_phantoms_is_valid() -> None:
    study = make_study("p", seed=3, shape=(140, 150), spacing=Spacing(1.0, 1.15), frames=8, cine=True)
    for image in study.images:
        for frame in image.masks:
            assert apical(frame, spacing=image.clip.spacing) == []


@pytest.mark.parametrize(("value", "name"), [(CAVITY, "lv_cavity"), (ATRIUM, "left_atrium")])
def test_a_hole(mask: Mask, value: int, name: str) -> None:
    row, col = place(mask, value)
    mask[row, col] = 0
    assert apical(mask) == [f"hole:{name}"]


def test_a_wall_is_hollow_but_has_no_hole_by_that(mask: Mask) -> None:
    assert "hole:myocardium" not in apical(mask)


@pytest.mark.parametrize("value", [CAVITY, WALL, ATRIUM])
def test_a_second_piece(mask: Mask, value: int) -> None:
    mask[4, 4] = value
    name = {number: name for name, number in CAMUS_LABELS.values}[value]
    assert apical(mask) == [f"pieces:{name}"]


def test_pieces_that_meet_at_a_corner_are_one(mask: Mask) -> None:
    row, col = np.argwhere(mask == ATRIUM)[-1]
    mask[row + 1, col + 1] = ATRIUM
    assert apical(mask) == []
    mask[row + 1, col + 1], mask[row + 2, col + 1] = 0, ATRIUM
    assert apical(mask) == ["pieces:left_atrium"]


def test_a_gap_between_cavity_and_wall_that_is_open_to_nothing(mask: Mask) -> None:
    row, _ = place(mask, CAVITY)
    col = int(np.flatnonzero(mask[row] == CAVITY)[0])
    mask[row - 10 : row + 10, col - 1] = 0  # was wall
    assert apical(mask) == ["hole:epicardium", "open_wall:lv_cavity"]


def test_a_wall_that_is_open_to_the_side(mask: Mask) -> None:
    row, col = place(mask, CAVITY)
    side = mask[row : row + 8, :col]
    side[side == WALL] = 0
    assert apical(mask) == ["pieces:myocardium", "open_wall:lv_cavity"]
    # 8 rows of 0.5 mm, of a wall of two sides that are each a little longer than 104 mm.
    assert apical(mask, limits=ValidityLimits(open_share=4 / 208)) == ["pieces:myocardium"]
    assert "open_wall:lv_cavity" in apical(mask, limits=ValidityLimits(open_share=4 / 270))


def test_an_open_wall_that_the_atrium_covers_is_open(mask: Mask) -> None:
    row, col = place(mask, CAVITY)
    side = mask[row : row + 8, :col]
    side[side == WALL] = ATRIUM
    assert "open_wall:lv_cavity" in apical(mask)


def test_a_wall_that_ends_too_early_makes_a_wide_base(mask: Mask) -> None:
    row, _ = place(mask, CAVITY)
    low = mask[row:]
    low[low == WALL] = 0
    assert apical(mask) == ["wide_base:lv_cavity", "atrium_apart:left_atrium"]
    assert apical(mask, limits=ValidityLimits(base_share=0.9, atrium_share=0.05)) == []


def test_a_wall_somewhere_else(mask: Mask) -> None:
    mask[mask == WALL] = 0
    mask[5:9, 5:30] = WALL
    assert "wide_base:lv_cavity" in apical(mask)


def test_the_edge_of_the_image_is_no_gap() -> None:
    whole = Ventricle(cut=0.3).mask(HALF_MM)
    apex = int(np.flatnonzero((whole == CAVITY).any(axis=1))[0])
    assert apical(whole[apex + 6 :]) == []  # the sector ends within the cavity
    assert apical(np.pad(whole[apex + 6 :], 3)) == ["pieces:myocardium", "open_wall:lv_cavity"]


def test_an_atrium_that_floats_free(mask: Mask) -> None:
    base = int(np.flatnonzero((mask == ATRIUM).any(axis=1))[0])
    assert apical(np.insert(mask, base, np.zeros((4, mask.shape[1]), np.uint8), axis=0)) == [
        "atrium_apart:left_atrium"
    ]


def test_an_atrium_behind_a_closed_wall(mask: Mask) -> None:
    base = int(np.flatnonzero((mask == ATRIUM).any(axis=1))[0])
    wall = np.where((mask[base - 1] == CAVITY) | (mask[base - 1] == WALL), WALL, 0).astype(np.uint8)
    closed = np.insert(mask, base, [wall, wall], axis=0)
    assert apical(closed) == ["no_base:lv_cavity", "atrium_apart:left_atrium"]
    without_atrium = np.where(closed == ATRIUM, 0, closed).astype(np.uint8)
    assert apical(without_atrium, expected=()) == ["no_base:lv_cavity"]


def test_an_atrium_within_the_ventricle(mask: Mask) -> None:
    row, col = place(mask, CAVITY)
    mask[mask == ATRIUM] = 0
    mask[row - 6 : row + 6, col - 6 : col + 6] = ATRIUM
    assert apical(mask) == ["hole:lv_cavity", "atrium_apart:left_atrium", "atrium_inside:left_atrium"]


def test_an_atrium_that_reaches_into_the_ventricle_through_its_base(mask: Mask) -> None:
    rows = np.flatnonzero((mask == CAVITY).any(axis=1))
    _, col = place(mask, CAVITY)
    mask[mask == ATRIUM] = 0
    mask[rows[0] + 60 : rows[-1] + 1, col - 12 : col + 12] = ATRIUM
    assert "atrium_inside:left_atrium" in apical(mask)


@pytest.mark.parametrize(
    ("value", "findings"),
    [
        (CAVITY, ["missing:lv_cavity"]),
        (WALL, ["missing:myocardium"]),
        (ATRIUM, ["missing:left_atrium"]),
    ],
)
def test_a_structure_that_is_not_there(mask: Mask, value: int, findings: list[str]) -> None:
    mask[mask == value] = 0
    assert apical(mask) == findings
    assert apical(mask, expected=()) == []  # a cavity alone may be all that somebody draws


def test_a_cavity_alone_is_judged_by_itself() -> None:
    alone = Ventricle().mask(MM, neighbours=False)
    assert apical(alone, labels=CAVITY_ONLY, spacing=MM, expected=("lv_cavity",)) == []
    alone[place(alone, CAVITY)] = 0
    assert apical(alone, labels=CAVITY_ONLY, spacing=MM, expected=("lv_cavity",)) == ["hole:lv_cavity"]


def test_an_empty_mask_lacks_what_is_expected_and_nothing_else() -> None:
    nothing = np.zeros((20, 20), np.uint8)
    assert apical(nothing) == ["missing:lv_cavity", "missing:myocardium", "missing:left_atrium"]
    assert apical(nothing, expected=()) == []


def test_one_pixel_has_no_border_to_judge() -> None:
    dot = np.zeros((20, 20), np.uint8)
    dot[10, 10] = CAVITY
    dot[12, 10] = WALL
    assert apical(dot, expected=()) == []


# Short-axis stacks

RV, MYOCARDIUM, LV = 1, 2, 3
EXPECTED = ("lv_cavity", "myocardium")


def stack(*, slices: int = 8, first_mm: float = 24.0, last_mm: float = 10.0) -> Mask:
    """Rings that get smaller from base to apex, 1 mm pixels, a right ventricle beside."""
    rows, cols = np.mgrid[:90, :110]
    masks = np.zeros((slices, 90, 110), np.uint8)
    for at, radius in enumerate(np.linspace(first_mm, last_mm, slices)):
        away = np.hypot(rows - 45, cols - 60)
        beside = np.hypot((rows - 45) / 1.3, cols - 60 + radius + 10) < 12
        masks[at][beside & (away > radius + 8)] = RV
        masks[at][away <= radius + 8] = MYOCARDIUM
        masks[at][away <= radius] = LV
    return masks


def findings(masks: Mask, expected: tuple[str, ...] = EXPECTED, spacing: Spacing | None = MM) -> list[str]:
    result = stack_findings(masks, labels=ACDC_LABELS, spacing=spacing, expected=expected)
    return [str(finding) for finding in result]


def opened(masks: Mask, plane: int, rows: int = 12) -> Mask:
    """The same with a gap in the wall of one slice."""
    masks = masks.copy()
    side = masks[plane, 45 - rows // 2 : 45 + rows // 2, 60:]
    side[side == MYOCARDIUM] = 0
    return masks


@pytest.mark.parametrize("spacing", [MM, OBLONG, None])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_stack_of_rings_is_valid(spacing: Spacing | None, direction: int) -> None:
    assert findings(stack()[::direction], spacing=spacing) == []


@pytest.mark.parametrize(("plane", "valid"), [(0, True), (1, True), (2, False), (7, False)])
def test_the_wall_may_open_at_the_base_only(plane: int, valid: bool) -> None:
    masks = opened(stack(), plane)
    assert findings(masks) == ([] if valid else [f"open_wall:lv_cavity@{plane}"])
    turned = masks[::-1]
    assert findings(turned) == ([] if valid else [f"open_wall:lv_cavity@{7 - plane}"])


def test_the_outflow_is_open_in_part_only() -> None:
    masks = stack()
    masks[0][masks[0] == MYOCARDIUM] = 0
    assert findings(masks) == ["open_wall:lv_cavity@0"]


def test_wall_in_pieces_belongs_to_the_outflow() -> None:
    masks = opened(stack(), 0)
    masks[0] = opened(masks[:, :, ::-1], 0)[0, :, ::-1]
    masks[0, 5, 5] = MYOCARDIUM
    assert findings(masks) == []
    masks[4, 5, 5] = MYOCARDIUM
    assert findings(masks) == ["pieces:myocardium@4"]


def test_a_cavity_that_touches_the_right_ventricle_is_not_enclosed() -> None:
    masks = stack()
    masks[3][(masks[3] == MYOCARDIUM) & (np.arange(110) < 45)] = RV
    assert "open_wall:lv_cavity@3" in findings(masks)


@pytest.mark.parametrize(
    ("value", "name"), [(RV, "right_ventricle"), (LV, "lv_cavity"), (MYOCARDIUM, "myocardium")]
)
def test_a_second_piece_in_a_slice(value: int, name: str) -> None:
    masks = stack()
    masks[5, 3, 3] = value
    assert findings(masks) == [f"pieces:{name}@5"]


def test_a_hole_in_a_slice_and_a_slice_that_was_skipped() -> None:
    masks = stack()
    masks[4, 45, 60] = 0
    masks[6][masks[6] == LV] = MYOCARDIUM
    assert findings(masks) == ["hole:lv_cavity@4", "slice_gap:lv_cavity@6"]


def test_references_without_a_wall_are_judged_by_their_cavity() -> None:
    masks = np.where(stack() == LV, LV, 0).astype(np.uint8)
    assert findings(masks, expected=("lv_cavity",)) == []
    assert findings(masks) == ["missing:myocardium"]


def test_a_few_pixels_at_the_apex_have_too_little_border_to_be_judged() -> None:
    masks = stack()
    masks[7] = 0
    masks[7, 44:47, 59:62] = LV
    assert findings(masks) == []


@pytest.mark.parametrize("slices", [1, 2])
def test_stacks_of_very_few_slices(slices: int) -> None:
    assert findings(stack(slices=slices)) == []


def test_an_empty_stack() -> None:
    assert findings(np.zeros((3, 20, 20), np.uint8)) == ["missing:myocardium", "missing:lv_cavity"]


def test_shapes_are_checked(mask: Mask) -> None:
    with pytest.raises(ImageContentError, match=r"\(H, W\)"):
        apical(mask[None])
    with pytest.raises(ImageContentError, match=r"\(Z, H, W\)"):
        findings(mask)


def test_limits_are_shares() -> None:
    limits = ValidityLimits()
    assert replace(limits, open_share=0.5).open_share == 0.5
    assert str(Finding(Fault.PIECES, "myocardium")) == "pieces:myocardium"
