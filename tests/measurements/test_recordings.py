"""ED and ES come from one recording, and several recordings of a view are never mixed silently."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cardiolabel.domain import Method, Phase, Spacing, View
from cardiolabel.measurements.quality import Flag
from cardiolabel.measurements.recordings import exam_name, recording_name, recordings
from cardiolabel.measurements.records import MaskedImage, PatientRow, Study
from cardiolabel.measurements.study import measure_study

from .shapes import MM, Ventricle, beating, cine, still

ED_MASK = Ventricle().mask(MM)
ES_MASK = Ventricle(semi_axis_mm=70.0, radius_mm=17.0).mask(MM)
LARGE_ED = Ventricle(semi_axis_mm=88.0, radius_mm=28.0).mask(MM)
LARGE_ES = Ventricle(semi_axis_mm=85.0, radius_mm=25.0).mask(MM)


def image(name: str, mask: np.ndarray, phase: Phase, view: View = View.A4C) -> MaskedImage:
    return replace(still(mask, view, phase), image_id=name)


def row(study: Study, method: Method = Method.SINGLE_PLANE_A4C) -> PatientRow:
    return next(row for row in study.rows if row.method is method)


@pytest.mark.parametrize(
    ("ed", "es"),
    [
        ("v1_ED", "v1_ES"),
        ("patient0001_4CH_ED", "patient0001_4CH_ES"),
        ("p-a4c-ed", "P_A4C_ES"),
        ("p_ED_4CH", "p_ES_4CH"),
        ("p_4CH_ED_2", "p_4CH_ES_2"),
        ("p_4CH_ED2", "p_4CH_ES2"),
        ("p_frame03_ED", "p_frame15_ES"),
        ("p_f3_ED", "p_f15_ES"),
        ("Müller 4CH ED", "Müller 4CH ES"),
        ("p_4CH_ED", "p_4CH_half_sequence"),
        ("p_4CH_cine", "p_4CH_end_systole"),
    ],
)
def test_ids_that_differ_in_phase_or_frame_name_one_recording(ed: str, es: str) -> None:
    assert recording_name(ed) == recording_name(es)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("v1_ED", "v2_ES"),
        ("rest_4CH_ED", "stress_4CH_ED"),
        ("p_4CH_ED", "p_4CH_ES_2"),
        ("speed_ED", "spe_ED"),
        ("p_4CH_ED", "p_2CH_ED"),
    ],
)
def test_ids_that_differ_otherwise_name_two(one: str, other: str) -> None:
    assert recording_name(one) != recording_name(other)


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (["p_ED_00", "p_ES_12"], [["p_ED_00", "p_ES_12"]]),
        (["p_ED_t0", "p_ES_t9"], [["p_ED_t0", "p_ES_t9"]]),
        (["a_ED_0", "a_ES_9", "b_ED_1", "b_ES_8"], [["a_ED_0", "a_ES_9"], ["b_ED_1", "b_ES_8"]]),
        (["p_ED", "p_ES", "p_ED_2"], [["p_ED", "p_ES"], ["p_ED_2"]]),
        (["p_ED_1", "p_ED_2", "p_ES_3"], [["p_ED_1"], ["p_ED_2"], ["p_ES_3"]]),
        (["v1_ED", "v2_ES"], [["v1_ED"], ["v2_ES"]]),
    ],
    ids=str,
)
def test_a_number_behind_the_phase_parts_only_what_would_compete(
    names: list[str], groups: list[list[str]]
) -> None:
    images = [image(name, ED_MASK, Phase.ED if "ED" in name else Phase.ES) for name in names]
    assert [[image.image_id for image in recording.images] for recording in recordings(images)] == groups


def test_the_views_of_an_examination_share_its_name() -> None:
    assert exam_name(recording_name("rest_4CH_ED")) == exam_name(recording_name("rest_2CH_ES"))
    assert exam_name(recording_name("rest_4CH_ED")) != exam_name(recording_name("stress_4CH_ED"))


def test_the_only_stills_of_a_view_belong_together_where_ids_tell_nothing() -> None:
    (only,) = recordings([image("img001", ED_MASK, Phase.ED), image("img017", ES_MASK, Phase.ES)])
    assert [image.image_id for image in only.images] == ["img001", "img017"]
    result = row(measure_study([image("img001", ED_MASK, Phase.ED), image("img017", ES_MASK, Phase.ES)]))
    assert result.ef_pct is not None and result.quality == ()


@pytest.mark.parametrize("lost", ["v1_ED", "v1_ES"])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 3, 0, 1), (3, 1, 2, 0)])
def test_a_recording_that_lacks_a_mask_lends_none_of_its_own(lost: str, order: tuple[int, ...]) -> None:
    images = [
        image("v1_ED", ED_MASK, Phase.ED),
        image("v1_ES", ES_MASK, Phase.ES),
        image("v2_ED", LARGE_ED, Phase.ED),
        image("v2_ES", LARGE_ES, Phase.ES),
    ]
    alone = row(measure_study(images[2:]))
    images = [replace(image, masks=image.masks * 0) if image.image_id == lost else image for image in images]
    study = measure_study([images[index] for index in order])
    result = row(study)
    assert (result.edv_ml, result.esv_ml, result.ef_pct) == (alone.edv_ml, alone.esv_ml, alone.ef_pct)
    assert Flag.SEVERAL_RECORDINGS in result.quality
    assert "v1_ED" in result.reason and "v1_ES" in result.reason
    assert {frame.image_id for frame in study.phase_frames.values()} == {"v2_ED", "v2_ES"}


def test_ed_of_one_recording_and_es_of_another_give_no_ef_and_are_named() -> None:
    study = measure_study([image("v1_ED", ED_MASK, Phase.ED), image("v2_ES", ES_MASK, Phase.ES)])
    result = row(study)
    assert (result.edv_ml, result.esv_ml, result.ef_pct) == (None, None, None)
    assert "v1_ED" in result.reason and "v2_ES" in result.reason
    assert study.area_changes[0].fac_pct is None and study.phase_frames == {}


def test_stills_that_nothing_pairs_are_not_guessed() -> None:
    images = [image(f"img{k}", ED_MASK, phase) for k, phase in enumerate((Phase.ED, Phase.ED, Phase.ES))]
    result = row(measure_study(images))
    assert result.ef_pct is None and all(f"img{k}" in result.reason for k in range(3))


def test_of_complete_recordings_the_one_with_the_fewest_flags_counts_then_the_first() -> None:
    first = [image("a_ED", ED_MASK, Phase.ED), image("a_ES", ES_MASK, Phase.ES)]
    second = [image("b_ED", LARGE_ED, Phase.ED), image("b_ES", LARGE_ES, Phase.ES)]
    assert row(measure_study([*first, *second])).edv_ml == row(measure_study(first)).edv_ml
    assert row(measure_study([*second, *first])).edv_ml == row(measure_study(second)).edv_ml
    crumbs = first[0].masks.copy()
    crumbs[0, :6, :20] = 1
    flagged = [replace(first[0], masks=crumbs), first[1]]
    assert row(measure_study([*flagged, *second])).edv_ml == row(measure_study(second)).edv_ml


def test_a_recording_whose_cavity_grows_to_es_comes_last() -> None:
    swapped = [image("a_ED", ES_MASK, Phase.ED), image("a_ES", ED_MASK, Phase.ES)]
    right = [image("b_ED", LARGE_ED, Phase.ED), image("b_ES", LARGE_ES, Phase.ES)]
    assert row(measure_study([*swapped, *right])).ef_pct == row(measure_study(right)).ef_pct


def test_a_recording_without_any_mask_is_told_of() -> None:
    images = [image("a_ED", ED_MASK, Phase.ED), image("a_ES", ES_MASK, Phase.ES)]
    nothing = np.zeros((0, 0, 0), np.uint8)
    bare = [replace(image, image_id=f"b_{image.phase}", masks=nothing, problem="no mask") for image in images]
    result = row(measure_study([*bare, *images]))
    assert result.ef_pct == row(measure_study(images)).ef_pct
    assert result.quality == (Flag.SEVERAL_RECORDINGS,) and "b_ED, b_ES (A4C ED: no mask" in result.reason


def test_stills_of_one_phase_that_compete_within_a_recording_are_flagged() -> None:
    images = [
        image("p_f01_ED", ED_MASK, Phase.ED),
        image("p_f31_ED", LARGE_ED, Phase.ED),
        image("p_f12_ES", ES_MASK, Phase.ES),
    ]
    result = row(measure_study(images))
    assert result.edv_ml == row(measure_study([images[0], images[2]])).edv_ml
    assert Flag.SEVERAL_RECORDINGS in result.quality


def test_of_several_cines_one_is_measured_and_their_beats_are_not_mixed() -> None:
    wave = 1 - 0.1 * (1 - np.cos(np.linspace(0, 2 * np.pi, 16, endpoint=False)))
    whole = replace(cine(beating(wave)), image_id="clip_a")
    other = replace(cine(beating(0.9 * wave)), image_id="clip_b")
    study = measure_study([whole, other])
    result = row(study)
    assert result.edv_ml == row(measure_study([whole])).edv_ml
    other_ef = row(measure_study([other])).ef_pct
    assert Flag.SEVERAL_RECORDINGS in result.quality
    assert f"clip_b (single-plane EF {other_ef:.1f} %)" in result.reason
    assert set(study.beats) == {"clip_a", "clip_b"}
    assert len(study.cycles[View.A4C]) == 1


def test_a_still_beside_a_cine_of_another_name_is_flagged() -> None:
    stills = [image("p_4CH_ED", ED_MASK, Phase.ED), image("p_4CH_ES", ES_MASK, Phase.ES)]
    clip = replace(cine(beating([1.0, 0.95, 0.85, 0.8, 0.85, 0.95])), image_id="IM_0007")
    result = row(measure_study([clip, *stills]))
    assert result.edv_ml == row(measure_study(stills)).edv_ml
    assert Flag.SEVERAL_RECORDINGS in result.quality
    same = replace(clip, image_id="p_4CH_cine")
    assert row(measure_study([same, *stills])).quality == ()


def test_ed_and_es_on_different_grids_are_flagged() -> None:
    other = replace(image("p_ES", ES_MASK, Phase.ES), spacing=Spacing(0.9, 0.9))
    cropped = replace(image("p_ES", ES_MASK, Phase.ES), masks=image("p_ES", ES_MASK, Phase.ES).masks[:, 4:])
    for es in (other, cropped):
        result = row(measure_study([image("p_ED", ED_MASK, Phase.ED), es]))
        assert result.ef_pct is not None and result.quality == (Flag.DIFFERENT_GRIDS,)


def test_biplane_pairs_the_views_of_one_examination() -> None:
    images = []
    for exam, ed, es in (("rest", ED_MASK, ES_MASK), ("stress", LARGE_ED, LARGE_ES)):
        for view, word in ((View.A4C, "4CH"), (View.A2C, "2CH")):
            images += [
                image(f"{exam}_{word}_ED", ed, Phase.ED, view),
                image(f"{exam}_{word}_ES", es, Phase.ES, view),
            ]
    crumbs = images[0].masks.copy()
    crumbs[0, :6, :20] = 1
    images[0] = replace(images[0], masks=crumbs)  # the A4C at rest alone is the worse one
    study = measure_study(images)
    used = {frame.image_id for frame in study.phase_frames.values()}
    assert used == {"stress_4CH_ED", "stress_4CH_ES", "stress_2CH_ED", "stress_2CH_ES"}
    assert row(study, Method.BIPLANE).edv_ml == row(measure_study(images[4:]), Method.BIPLANE).edv_ml
    assert Flag.SEVERAL_RECORDINGS in row(study, Method.BIPLANE).quality


@pytest.mark.parametrize(
    ("ed", "es"),
    [
        ("z_4CH_ED_20240105", "z_4CH_ES_20240310"),
        ("z_4CH_ED_20240105101500", "z_4CH_ES_20240310093000"),
        ("p_4CH_ED_v1", "p_4CH_ES_v2"),
        ("p_4CH_ED_r1", "p_4CH_ES_r2"),
        ("rest_ED", "stress_peak"),
        ("img_rest", "img_stress"),
    ],
)
def test_dates_versions_and_states_of_the_heart_part_recordings(ed: str, es: str) -> None:
    result = row(measure_study([image(ed, ED_MASK, Phase.ED), image(es, ES_MASK, Phase.ES)]))
    assert result.ef_pct is None and ed in result.reason and es in result.reason


def test_views_of_two_examinations_are_flagged_where_they_are_combined() -> None:
    images = [
        image("rest_4CH_ED", ED_MASK, Phase.ED),
        image("rest_4CH_ES", ES_MASK, Phase.ES),
        image("stress_2CH_ED", LARGE_ED, Phase.ED, View.A2C),
        image("stress_2CH_ES", LARGE_ES, Phase.ES, View.A2C),
    ]
    study = measure_study(images)
    biplane = row(study, Method.BIPLANE)
    assert Flag.SEVERAL_RECORDINGS in biplane.quality and "rest and stress" in biplane.reason
    assert Flag.SEVERAL_RECORDINGS not in row(study).quality


def test_a_left_out_frame_beyond_ed_or_es_is_told() -> None:
    wave = list(1 - 0.1 * (1 - np.cos(np.linspace(0, 2 * np.pi, 24, endpoint=False))))
    assert Flag.TEMPORAL_OUTLIER not in row(measure_study([cine(beating(wave))])).quality
    wave[7] = 0.5
    assert Flag.TEMPORAL_OUTLIER in row(measure_study([cine(beating(wave))])).quality


@pytest.mark.parametrize(("undrawn", "is_flagged"), [((11, 12, 13), True), ((4, 5), False), ((), False)])
def test_frames_without_a_mask_beside_ed_or_es_are_told(undrawn: tuple[int, ...], is_flagged: bool) -> None:
    wave = 1 - 0.1 * (1 - np.cos(np.linspace(0, 2 * np.pi, 24, endpoint=False)))
    clip = cine(beating(list(wave)))
    masks = clip.masks.copy()
    masks[list(undrawn)] = 0
    result = row(measure_study([replace(clip, masks=masks)]))
    assert (Flag.UNDRAWN_FRAMES in result.quality) is is_flagged
