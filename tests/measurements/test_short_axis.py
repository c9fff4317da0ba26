"""Slices summed: cylinders and half-ellipsoids."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cardiolabel.domain import CAMUS_LABELS, Convention, Method, Phase, Spacing, View
from cardiolabel.measurements.quality import Flag
from cardiolabel.measurements.records import MaskedImage, PatientRow
from cardiolabel.measurements.study import measure_study

SPACING = Spacing(row_mm=0.5, col_mm=0.8)


def discs(radii_mm: list[float]) -> NDArray[np.uint8]:
    rows, cols = np.mgrid[:160, :100]
    reach = np.hypot((rows - 79.3) * SPACING.row_mm, (cols - 49.8) * SPACING.col_mm)
    return np.stack([(reach < radius).astype(np.uint8) for radius in radii_mm])


def stack(radii_mm: list[float], phase: Phase, slice_mm: float | None = 8.0) -> MaskedImage:
    return MaskedImage(
        f"p_SAX_{phase}",
        "p",
        View.SAX,
        phase,
        discs(radii_mm),
        SPACING,
        CAMUS_LABELS,
        slice_spacing_mm=slice_mm,
    )


def row_of(*stacks: MaskedImage) -> PatientRow:
    (row,) = measure_study(stacks).rows
    assert (row.method, row.convention) == (Method.SLICE_SUMMATION, Convention.GUIDELINE)
    return row


ED, ES = stack([25.0] * 10, Phase.ED), stack([18.0] * 9, Phase.ES)


def test_cylinders() -> None:
    row = row_of(ED, ES)
    assert row.edv_ml == pytest.approx(math.pi * 25**2 * 80 / 1000, rel=0.005)
    assert row.esv_ml == pytest.approx(math.pi * 18**2 * 72 / 1000, rel=0.005)
    assert row.ef_pct == pytest.approx(100 * (1 - 18**2 * 72 / (25**2 * 80)), abs=0.3)
    assert row.sv_ml == pytest.approx(row.edv_ml - row.esv_ml)
    assert row.reason == ""


def test_a_half_ellipsoid_in_thin_slices() -> None:
    heights = (np.arange(40) + 0.5) / 40
    thin = stack(list(25 * np.sqrt(1 - heights**2)), Phase.ED, slice_mm=2.0)
    assert row_of(thin).edv_ml == pytest.approx(2 / 3 * math.pi * 25**2 * 80 / 1000, rel=0.005)


def test_empty_slices_count_as_nothing_and_say_so() -> None:
    padded = stack([0.0, *[25.0] * 10, 0.0], Phase.ED)
    study = measure_study([padded, ES])
    assert study.rows[0].edv_ml == row_of(ED).edv_ml
    first, second, *_ = study.frames
    assert (first.lv_area_mm2, first.reason) == (None, "the slice has no LV cavity")
    assert second.lv_area_mm2 == pytest.approx(math.pi * 25**2, rel=0.01)
    assert second.reason == "" and second.lv_length_mm is None and second.lv_volume_ml is None
    assert [frame.frame for frame in study.frames if frame.image_id == "p_SAX_ED"] == list(range(12))


@pytest.mark.parametrize(
    ("stacks", "reason"),
    [
        ([ED], "no SAX stack at ES"),
        ([replace(ED, slice_spacing_mm=None), ES], "ED: the distance between slices is unknown"),
        ([replace(ED, slice_spacing_mm=0.0), ES], "ED: the distance between slices is unknown"),
        ([replace(ED, spacing=None), ES], "ED: the file carries no pixel spacing"),
        ([stack([0.0, 0.0], Phase.ED), ES], "ED: the mask has no LV cavity"),
        ([replace(ED, masks=np.zeros((0, 0, 0), np.uint8), problem="torn"), ES], "ED: torn"),
        ([stack([10.0, 10.0], Phase.ED), ES], "not smaller than at ED"),
        ([replace(ED, phase=Phase.CINE)], "no SAX stack at ED; no SAX stack at ES"),
    ],
)
def test_what_cannot_be_summed_is_empty_with_its_reason(stacks: list[MaskedImage], reason: str) -> None:
    row = row_of(*stacks)
    assert row.ef_pct is None
    assert reason in row.reason


def test_slices_and_apical_views_of_one_patient_both_get_rows() -> None:
    apical = replace(ED, image_id="p_4CH", view=View.A4C)
    methods = {row.method for row in measure_study([apical, ED, ES]).rows}
    assert methods == set(Method)


def test_without_pixel_size_there_is_an_ef_but_no_volume() -> None:
    stacks = stack([20.0, 18.0], Phase.ED), stack([15.0, 12.0], Phase.ES)
    calibrated = row_of(*stacks)
    result = row_of(*(replace(stack, spacing=None) for stack in stacks))
    assert (result.edv_ml, result.esv_ml) == (None, None)
    assert result.ef_pct == pytest.approx(calibrated.ef_pct)
    assert Flag.UNCALIBRATED in result.quality and "pixel spacing" in result.reason


TAPER = [24.0, 25.0, 24.0, 22.0, 19.0, 15.0, 9.0]
SMALLER = [0.75 * radius for radius in TAPER]


def affine_mm(*, shift_mm: float = 0.0, turn_deg: float = 0.0, slice_mm: float = 8.0) -> NDArray[np.float64]:
    """A stack along z, moved by ``shift_mm`` across its slices, or turned about x."""
    turn = math.radians(turn_deg)
    affine = np.eye(4)
    affine[:3, 0] = (-SPACING.col_mm, 0, 0)
    affine[:3, 1] = np.array([0, -math.cos(turn), -math.sin(turn)]) * SPACING.row_mm
    affine[:3, 2] = np.array([0, -math.sin(turn), math.cos(turn)]) * slice_mm
    affine[:3, 3] = affine[:3, 2] / slice_mm * shift_mm
    return affine


def test_a_whole_stack_raises_no_flag() -> None:
    row = row_of(stack(TAPER, Phase.ED), stack([0.0, *SMALLER[1:]], Phase.ES))
    assert row.ef_pct is not None and row.quality == () and row.reason == ""


@pytest.mark.parametrize("spacing", [SPACING, None], ids=["pixel size", "no pixel size"])
def test_one_slice_gives_an_area_change_and_no_volume(spacing: Spacing | None) -> None:
    ed, es = (replace(stack([r], p), spacing=spacing) for r, p in ((20.0, Phase.ED), (15.0, Phase.ES)))
    study = measure_study([ed, es])
    (row,) = study.rows
    assert (row.edv_ml, row.esv_ml, row.sv_ml, row.ef_pct) == (None, None, None, None)
    assert ("one slice" if spacing else "pixel spacing") in row.reason
    (change,) = study.area_changes
    assert change.view is View.SAX and change.fac_pct == pytest.approx(100 * (1 - 0.75**2), abs=0.5)


@pytest.mark.parametrize("phase", [Phase.ED, Phase.ES])
def test_one_slice_at_one_phase_is_no_stack_either(phase: Phase) -> None:
    stacks = [stack(TAPER, Phase.ED), stack(SMALLER, Phase.ES)]
    stacks = [replace(stack, masks=stack.masks[2:3]) if stack.phase is phase else stack for stack in stacks]
    row = row_of(*stacks)
    assert row.ef_pct is None and f"{phase}: one slice" in row.reason
    assert Flag.SLICES_DIFFER in row.quality


def test_a_stack_with_one_slice_drawn_has_no_volume() -> None:
    drawn = [0.0, 0.0, 24.0, 0.0, 0.0]
    row = row_of(stack(drawn, Phase.ED), stack([0.75 * radius for radius in drawn], Phase.ES))
    assert (row.edv_ml, row.esv_ml, row.ef_pct) == (None, None, None)
    assert "only one of 5 slices" in row.reason


@pytest.mark.parametrize("lost", [[1, 3, 5], [2], [3, 4], [5]])
@pytest.mark.parametrize("phases", [[Phase.ED], [Phase.ES], [Phase.ED, Phase.ES]], ids=str)
@pytest.mark.parametrize("spacing", [SPACING, None], ids=["pixel size", "no pixel size"])
def test_a_slice_without_cavity_between_others_has_no_volume(
    lost: list[int], phases: list[Phase], spacing: Spacing | None
) -> None:
    stacks = []
    for phase, radii in ((Phase.ED, TAPER), (Phase.ES, SMALLER)):
        each = stack(radii, phase)
        masks = each.masks.copy()
        if phase in phases:
            masks[lost] = 0
        stacks.append(replace(each, masks=masks, spacing=spacing))
    study = measure_study(stacks)
    (row,) = study.rows
    assert row.ef_pct is None and Flag.SLICE_GAP in row.quality
    if spacing:
        for phase, volume in ((Phase.ED, row.edv_ml), (Phase.ES, row.esv_ml)):
            assert (volume is None) is (phase in phases)
            assert (f"{phase}: no LV cavity in slice" in row.reason) is (phase in phases)
    marked = [(f.phase, f.frame) for f in study.frames if Flag.SLICE_GAP in f.quality]
    assert marked == [(phase, plane) for phase in phases for plane in lost]


def test_stacks_of_different_length_are_flagged() -> None:
    assert Flag.SLICES_DIFFER in row_of(stack(TAPER, Phase.ED), stack(SMALLER[2:], Phase.ES)).quality


@pytest.mark.parametrize(
    ("es_affine", "differs"),
    [
        (affine_mm(), False),
        (affine_mm(shift_mm=1.0), False),
        (affine_mm(shift_mm=24.0), True),
        (affine_mm(shift_mm=-8.0), True),
        (affine_mm(turn_deg=12.0), True),
    ],
    ids=["same", "rounded", "three slices on", "one slice back", "turned"],
)
def test_stacks_that_lie_elsewhere_are_flagged(es_affine: NDArray[np.float64], differs: bool) -> None:
    ed = replace(stack(TAPER, Phase.ED), affine_mm=affine_mm())
    es = replace(stack(SMALLER, Phase.ES), affine_mm=es_affine)
    assert (Flag.SLICES_DIFFER in row_of(ed, es).quality) is differs


def test_the_order_of_slices_does_not_matter() -> None:
    ed = replace(stack(TAPER, Phase.ED), affine_mm=affine_mm())
    turned = affine_mm()
    turned[:3, 2] *= -1
    turned[:3, 3] -= turned[:3, 2] * (len(TAPER) - 1)
    es = replace(stack([*SMALLER[:0:-1], 0.0], Phase.ES), affine_mm=turned)
    row = row_of(ed, es)
    assert row.ef_pct is not None and row.quality == ()


@pytest.mark.parametrize(
    ("es_radii", "differs"),
    [
        (SMALLER, False),
        ([0.0, *SMALLER[1:]], False),
        ([0.0, 0.0, *SMALLER[2:]], False),  # the base moves by 16 mm
        ([0.0, 0.0, 0.0, *SMALLER[3:]], True),
        ([*SMALLER[:3], 0.0, 0.0, 0.0, 0.0], True),
    ],
)
def test_a_cavity_that_loses_too_many_slices_to_es_is_flagged(es_radii: list[float], differs: bool) -> None:
    row = row_of(stack(TAPER, Phase.ED), stack(es_radii, Phase.ES))
    assert (Flag.SLICES_DIFFER in row.quality) is differs


def test_a_cavity_that_reaches_beyond_the_one_at_ed_is_flagged() -> None:
    ed, es = stack([0.0, 0.0, *TAPER], Phase.ED), stack([12.0, 14.0, *SMALLER], Phase.ES)
    assert Flag.SLICES_DIFFER in row_of(ed, es).quality


def test_middle_slices_alone_are_flagged() -> None:
    assert Flag.APEX_MISSING in row_of(stack(TAPER[:4], Phase.ED), stack(SMALLER[:4], Phase.ES)).quality


@pytest.mark.parametrize(("slice_mm", "flagged"), [(0.8, True), (1.0, True), (8.0, False), (80.0, True)])
def test_a_distance_between_slices_that_no_heart_fits_is_flagged(slice_mm: float, flagged: bool) -> None:
    study = measure_study([stack(TAPER, Phase.ED, slice_mm), stack(SMALLER, Phase.ES, slice_mm)])
    assert (Flag.IMPLAUSIBLE_SIZE in study.rows[0].quality) is flagged
    assert all((Flag.IMPLAUSIBLE_SIZE in frame.quality) is flagged for frame in study.frames)


@pytest.mark.parametrize(
    ("factor", "flagged"), [(0.1, True), (0.35, False), (1.0, False), (1.8, False), (10, True)]
)
def test_a_stack_scaled_as_a_whole_is_flagged_where_no_heart_fits(factor: float, flagged: bool) -> None:
    scaled = Spacing(SPACING.row_mm * factor, SPACING.col_mm * factor)
    stacks = [stack(TAPER, Phase.ED, 8.0 * factor), stack(SMALLER, Phase.ES, 8.0 * factor)]
    row = row_of(*(replace(stack, spacing=scaled) for stack in stacks))
    assert (Flag.IMPLAUSIBLE_SIZE in row.quality) is flagged


def test_of_two_recordings_one_is_measured_and_flagged() -> None:
    rest = [replace(stack(TAPER, Phase.ED), image_id="rest_SAX_ED", masks=np.zeros_like(ED.masks))]
    rest.append(replace(stack(TAPER, Phase.ES), image_id="rest_SAX_ES"))
    stress = [replace(stack(TAPER, Phase.ED), image_id="stress_SAX_ED")]
    stress.append(replace(stack(SMALLER, Phase.ES), image_id="stress_SAX_ES"))
    alone = row_of(*stress)
    study = measure_study([*rest, *stress])
    (row,) = study.rows
    assert row.ef_pct == pytest.approx(alone.ef_pct) and row.ef_pct is not None
    assert Flag.SEVERAL_RECORDINGS in row.quality and "rest_SAX_ES" in row.reason
    assert study.stacks == {Phase.ED: "stress_SAX_ED", Phase.ES: "stress_SAX_ES"}


def test_ed_of_one_recording_and_es_of_another_give_no_ef() -> None:
    row = row_of(
        replace(stack(TAPER, Phase.ED), image_id="rest_SAX_ED"),
        replace(stack(SMALLER, Phase.ES), image_id="stress_SAX_ES"),
    )
    assert (row.edv_ml, row.esv_ml, row.ef_pct) == (None, None, None)
    assert "rest_SAX_ED" in row.reason and "stress_SAX_ES" in row.reason


@pytest.mark.parametrize(("factor", "flagged"), [(0.1, True), (1.0, False), (10.0, True)])
def test_one_slice_of_an_area_that_no_heart_has_is_flagged(factor: float, flagged: bool) -> None:
    spacing = Spacing(SPACING.row_mm * factor, SPACING.col_mm * factor)
    slices = [replace(stack([20.0], phase), spacing=spacing) for phase in (Phase.ED, Phase.ES)]
    assert (Flag.IMPLAUSIBLE_SIZE in measure_study(slices).frames[0].quality) is flagged


def test_frames_of_a_short_axis_cine_are_not_judged_as_slices() -> None:
    frames = replace(stack([20.0, 0.0, 18.0], Phase.ED), phase=Phase.CINE)
    assert all(frame.quality == () for frame in measure_study([frames]).frames)


def test_stacks_of_different_pixels_are_flagged() -> None:
    other = replace(stack(SMALLER, Phase.ES), spacing=Spacing(row_mm=1.0, col_mm=1.0))
    assert Flag.DIFFERENT_GRIDS in row_of(stack(TAPER, Phase.ED), other).quality
    assert Flag.DIFFERENT_GRIDS not in row_of(stack(TAPER, Phase.ED), stack(SMALLER, Phase.ES)).quality


def test_stray_pixels_do_not_hide_a_gap() -> None:
    es = stack(SMALLER, Phase.ES)
    masks = es.masks.copy()
    masks[2] = 0
    masks[2, 79, 49:52] = 1
    row = row_of(stack(TAPER, Phase.ED), replace(es, masks=masks))
    assert row.esv_ml is None and Flag.SLICE_GAP in row.quality


def test_a_second_piece_in_a_slice_is_flagged() -> None:
    es = stack(SMALLER, Phase.ES)
    masks = es.masks.copy()
    masks[1, :20, :12] = 1
    assert Flag.FRAGMENTS in row_of(stack(TAPER, Phase.ED), replace(es, masks=masks)).quality
    assert Flag.FRAGMENTS not in row_of(stack(TAPER, Phase.ED), es).quality


def test_a_stack_without_a_mask_has_no_pieces() -> None:
    (row,) = measure_study([replace(stack(TAPER, Phase.ED), masks=np.zeros((0, 0, 0), np.uint8))]).rows
    assert Flag.FRAGMENTS not in row.quality
