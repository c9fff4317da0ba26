"""One patient: what is measured where much is missing, and that nothing raises."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardiolabel.domain import CAMUS_LABELS, Convention, LabelSet, Method, Phase, Spacing, View
from cardiolabel.errors import ImageContentError
from cardiolabel.measurements.phases import Beat
from cardiolabel.measurements.quality import Flag
from cardiolabel.measurements.records import MaskedImage, PatientRow, Study
from cardiolabel.measurements.study import measure_study

from .shapes import MM, Heart, Ventricle, beating, cine, still

ED = Ventricle().mask(MM)
ES = Ventricle(semi_axis_mm=70.0, radius_mm=17.0).mask(MM)
NOTHING = np.zeros((0, 0, 0), np.uint8)


def row(study: Study, method: Method, convention: Convention = Convention.GUIDELINE) -> PatientRow:
    (result,) = [r for r in study.rows if (r.method, r.convention) == (method, convention)]
    return result


def values(row: PatientRow) -> list[object]:
    """All measured cells of a row."""
    return [getattr(row, field.name) for field in fields(row) if field.name.endswith(("_ml", "_pct", "_mm"))]


def test_four_stills_give_every_apical_row() -> None:
    study = measure_study(Heart().images(MM))
    assert [(r.method, r.convention) for r in study.rows] == [
        (method, convention)
        for method in (Method.BIPLANE, Method.SINGLE_PLANE_A4C, Method.SINGLE_PLANE_A2C, Method.AREA_LENGTH)
        for convention in Convention
    ]
    assert {r.reason for r in study.rows} == {"", "the camus convention is defined for discs only"}
    assert set(study.phase_frames) == {
        (view, phase) for view in (View.A4C, View.A2C) for phase in (Phase.ED, Phase.ES)
    }
    assert [frame.image_id for frame in study.frames] == ["p_A4C_ED", "p_A4C_ES", "p_A2C_ED", "p_A2C_ES"]
    assert all(frame.lv_volume_ml and not frame.reason for frame in study.frames)


def test_fractional_area_change_of_each_view() -> None:
    images = Heart().images(MM)
    study = measure_study(images)
    for change, (ed, es) in zip(study.area_changes, (images[:2], images[2:]), strict=True):
        pixels = [(image.masks == 1).sum() for image in (ed, es)]
        assert change.fac_pct == pytest.approx(100 * (1 - pixels[1] / pixels[0]))


BAD_MASKS = {
    "empty": (np.zeros((160, 142), np.uint8), "the mask has no LV cavity"),
    "one pixel": (np.pad(np.ones((1, 1), np.uint8), 20), "only 1 pixels"),
    "one-pixel image": (np.ones((1, 1), np.uint8), "only 1 pixels"),
    "other values": (np.full((40, 40), 9, np.uint8), "the mask has no LV cavity"),
}


@pytest.mark.parametrize("kind", BAD_MASKS)
@pytest.mark.parametrize("phase", [Phase.ED, Phase.ES])
def test_a_mask_without_a_cavity_is_a_reason_in_the_frame_and_in_the_rows(kind: str, phase: Phase) -> None:
    mask, reason = BAD_MASKS[kind]
    good_phase, good = (Phase.ES, ES) if phase is Phase.ED else (Phase.ED, ED)
    study = measure_study([still(mask, phase=phase), still(good, phase=good_phase)])
    frame = next(frame for frame in study.frames if frame.phase is phase)
    assert (frame.lv_area_mm2, frame.lv_length_mm, frame.lv_volume_ml) == (None, None, None)
    assert reason in frame.reason
    result = row(study, Method.SINGLE_PLANE_A4C)
    assert reason in result.reason and str(phase) in result.reason
    assert set(values(result)) == {None}
    (change,) = study.area_changes
    assert change.fac_pct is None and reason in change.reason


def test_an_all_cavity_frame_touches_the_border() -> None:
    study = measure_study([still(np.ones((90, 60), np.uint8))])
    (frame,) = study.frames
    assert Flag.BORDER_CONTACT in frame.quality
    assert frame.lv_area_mm2 == 90 * 60


def test_the_second_component_is_flagged_and_left_out() -> None:
    mask = ED.copy()
    mask[2:22, 2:22] = 1
    each, two = (measure_study([still(m)]).frames[0] for m in (ED, mask))
    assert Flag.FRAGMENTS in two.quality and Flag.FRAGMENTS not in each.quality
    assert two.lv_volume_ml == pytest.approx(each.lv_volume_ml)


def test_a_ventricle_that_grows_from_ed_to_es() -> None:
    study = measure_study([still(ES, phase=Phase.ED), still(ED, phase=Phase.ES)])
    result = row(study, Method.SINGLE_PLANE_A4C)
    assert result.ef_pct is None and "not smaller than at ED" in result.reason
    assert result.edv_ml is not None and result.esv_ml is not None
    assert study.area_changes[0].fac_pct is None
    assert "area at ES is not smaller" in study.area_changes[0].reason


def test_without_calibration_only_ratios_remain() -> None:
    listed = measure_study(Heart().images(MM))
    unknown = measure_study([replace(image, spacing=None) for image in Heart().images(MM)])
    for frame in unknown.frames:
        assert (frame.lv_area_mm2, frame.lv_length_mm, frame.lv_volume_ml) == (None, None, None)
        assert frame.reason == "the file carries no pixel spacing"
        assert frame.quality == (Flag.UNCALIBRATED,)
    for method in (Method.SINGLE_PLANE_A4C, Method.SINGLE_PLANE_A2C):
        for convention in Convention:
            result = row(unknown, method, convention)
            assert result.ef_pct == pytest.approx(row(listed, method, convention).ef_pct)
            assert [value for value in values(result) if value is not None] == [result.ef_pct]
            assert "no pixel spacing" in result.reason and Flag.UNCALIBRATED in result.quality
    assert row(unknown, Method.BIPLANE).ef_pct is None and row(unknown, Method.BIPLANE).reason
    changes = [[change.fac_pct for change in study.area_changes] for study in (listed, unknown)]
    assert changes[0] == pytest.approx(changes[1]) and None not in changes[1]


def test_only_one_view() -> None:
    study = measure_study(Heart().images(MM)[:2])
    assert row(study, Method.BIPLANE).reason == "no A2C image"
    assert row(study, Method.SINGLE_PLANE_A2C).reason == "no A2C image"
    assert row(study, Method.SINGLE_PLANE_A4C).ef_pct is not None
    assert row(study, Method.AREA_LENGTH).ef_pct is not None
    assert [change.view for change in study.area_changes] == [View.A4C]


@pytest.mark.parametrize(("phase", "missing"), [(Phase.ED, "ES"), (Phase.ES, "ED")])
def test_only_one_phase(phase: Phase, missing: str) -> None:
    study = measure_study([still(ED, phase=phase)])
    assert row(study, Method.SINGLE_PLANE_A4C).reason == f"no A4C image at {missing}"
    assert study.frames[0].lv_volume_ml is not None
    assert study.phase_frames == {}


def test_an_unknown_view_has_frames_and_no_rows_of_its_own() -> None:
    study = measure_study([still(ED, View.UNKNOWN), still(ES, View.UNKNOWN, Phase.ES)])
    assert all(frame.lv_area_mm2 for frame in study.frames)
    assert all(r.ef_pct is None and r.reason for r in study.rows)
    assert "set it in manifest.csv" in row(study, Method.BIPLANE).reason


def test_an_unreadable_image_is_a_row_with_its_problem() -> None:
    torn = replace(still(ED), masks=NOTHING, spacing=None, problem="p_A4C_ED.nii.gz: truncated")
    study = measure_study([torn, still(ES, phase=Phase.ES)])
    assert study.frames[0].reason == "p_A4C_ED.nii.gz: truncated"
    assert "truncated" in row(study, Method.SINGLE_PLANE_A4C).reason
    unreadable_cine = replace(cine([ED, ES]), masks=NOTHING, problem="torn")
    assert row(measure_study([unreadable_cine]), Method.SINGLE_PLANE_A4C).reason == "A4C cine: torn"


def test_a_cine_of_one_frame() -> None:
    result = row(measure_study([cine([ED])]), Method.SINGLE_PLANE_A4C)
    assert result.ef_pct is None and "at least two frames" in result.reason


def test_a_cine_that_stands_still() -> None:
    result = row(measure_study([cine([ED] * 8)]), Method.SINGLE_PLANE_A4C)
    assert result.ef_pct is None and "less than 5 %" in result.reason


def test_a_cine_with_lost_frames() -> None:
    masks = beating([1.0, 0.95, 0.85, 0.8, 0.9, 1.0])
    for lost in (0, 3):
        masks[lost][masks[lost] == 1] = 0
    study = measure_study([cine(masks, ed_frame=1, es_frame=4)])
    assert [frame.frame for frame in study.frames if frame.reason] == [0, 3]
    result = row(study, Method.SINGLE_PLANE_A4C)
    assert result.ef_pct is not None and Flag.PHASES_FROM_AREA in result.quality
    assert not {0, 3} & {frame for beat in study.beats["p_A4C_cine"] for frame in (beat.ed, beat.es)}


def test_named_frames_count_from_one() -> None:
    masks = beating([0.98, 1.0, 0.9, 0.8, 0.78])
    study = measure_study([cine(masks, ed_frame=2, es_frame=4)])
    assert study.beats == {"p_A4C_cine": [Beat(ed=1, es=3)]}
    assert study.phase_frames[View.A4C, Phase.ES].frame == 3
    volumes = [frame.lv_volume_ml for frame in study.frames]
    result = row(study, Method.SINGLE_PLANE_A4C)
    assert (result.edv_ml, result.esv_ml) == (volumes[1], volumes[3])


@pytest.mark.parametrize("named", [(2, 60), (1, None), (None, None)])
def test_named_frames_that_do_not_exist_are_found_instead(named: tuple[int | None, int | None]) -> None:
    masks = beating([1.0, 0.9, 0.8, 0.9])
    study = measure_study([cine(masks, ed_frame=named[0], es_frame=named[1])])
    assert study.beats == {"p_A4C_cine": [Beat(ed=0, es=2)]}


def test_stills_win_over_a_cine_and_a_broken_still_loses() -> None:
    clip = cine(beating([1.0, 0.9, 0.8]))
    stills = [still(ED), still(ES, phase=Phase.ES)]
    alone = row(measure_study(stills), Method.SINGLE_PLANE_A4C)
    assert row(measure_study([*stills, clip]), Method.SINGLE_PLANE_A4C) == alone
    broken = still(np.zeros_like(ES), phase=Phase.ES)
    fallen_back = measure_study([stills[0], broken, clip])
    assert fallen_back.phase_frames[View.A4C, Phase.ES].image_id == "p_A4C_cine"
    assert row(fallen_back, Method.SINGLE_PLANE_A4C).ef_pct is not None


def test_two_beats_are_two_and_their_mean() -> None:
    wave = [1.0, 0.97, 0.9, 0.83, 0.8, 0.86, 0.94, 0.99]
    study = measure_study([cine(beating([*wave, *wave]), frame_rate_hz=9.0)])
    assert len(study.beats["p_A4C_cine"]) == 2
    beats = [
        b
        for b in study.beat_rows
        if (b.method, b.convention) == (Method.SINGLE_PLANE_A4C, Convention.GUIDELINE)
    ]
    result = row(study, Method.SINGLE_PLANE_A4C)
    assert [beat.beat for beat in beats] == [1, 2]
    assert result.edv_ml == pytest.approx(np.mean([beat.edv_ml for beat in beats]))


def test_images_of_one_patient_only() -> None:
    with pytest.raises(ValueError, match=r"\['p', 'q'\]"):
        measure_study([still(ED), replace(still(ES), patient="q")])
    with pytest.raises(ValueError, match="images of one patient"):
        measure_study([])


def test_masks_are_three_axes() -> None:
    with pytest.raises(ImageContentError, match=r"\(T, H, W\)"):
        MaskedImage("i", "p", View.A4C, Phase.ED, ED, MM, CAMUS_LABELS)


images = st.builds(
    lambda view, phase, shape, seed, spacing, named, problem: MaskedImage(
        f"i{seed}",
        "p",
        view,
        phase,
        np.random.default_rng(seed).integers(0, 3, size=shape).astype(np.uint8).clip(0, seed % 3),
        spacing,
        CAMUS_LABELS,
        ed_frame=named,
        es_frame=named and named + 1,
        problem=problem,
    ),
    st.sampled_from(View),
    st.sampled_from(Phase),
    st.tuples(st.integers(0, 7), st.integers(0, 12), st.integers(0, 12)),
    st.integers(0, 1000),
    st.sampled_from((None, Spacing(row_mm=0.3, col_mm=1.2))),
    st.sampled_from((None, 1, 4)),
    st.sampled_from(("", "torn")),
)


@settings(max_examples=80)
@given(st.lists(images, min_size=1, max_size=5))
def test_nothing_that_an_image_holds_raises(given_images: list[MaskedImage]) -> None:
    study = measure_study(given_images)
    for result in study.rows:
        assert result.ef_pct is not None or result.reason
        for value in values(result):
            assert value is None or (np.isfinite(value) and value != 0)
    for frame in study.frames:
        assert frame.lv_area_mm2 is not None or frame.reason


def test_ed_and_es_of_different_calibration_give_no_ef() -> None:
    images = [still(ED, spacing=None), still(ES, phase=Phase.ES)]
    study = measure_study(images)
    result = row(study, Method.SINGLE_PLANE_A4C)
    assert values(result) == [None] * len(values(result))
    assert "pixel spacing" in result.reason
    assert study.area_changes[0].fac_pct is None


def test_one_bad_frame_of_a_cine_is_not_its_end_systole() -> None:
    image = cine(beating(1 - 0.12 * (1 - np.cos(np.linspace(0, 2 * np.pi, 24)))))
    clean = row(measure_study([image]), Method.SINGLE_PLANE_A4C).ef_pct
    masks = image.masks.copy()
    masks[3] = 0
    masks[3, 60:75, 60:75] = 1
    spoilt = measure_study([replace(image, masks=masks)])
    assert Flag.TEMPORAL_OUTLIER in spoilt.frames[3].quality
    assert row(spoilt, Method.SINGLE_PLANE_A4C).ef_pct == pytest.approx(clean)


def test_of_two_stills_of_a_phase_the_one_with_a_cavity_counts() -> None:
    empty = replace(still(ED * 0), image_id="first")
    images = [empty, still(ED), still(ES, phase=Phase.ES)]
    assert row(measure_study(images), Method.SINGLE_PLANE_A4C).ef_pct is not None


def test_a_label_set_must_name_the_cavity() -> None:
    with pytest.raises(ValueError, match="lv_cavity"):
        replace(still(ED), labels=LabelSet("x", (("myocardium", 1),)))
