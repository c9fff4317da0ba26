"""Every flag is raised where it should be, and not where it should not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cardiolabel.domain import CAMUS_LABELS, Method, Phase, Spacing, View
from cardiolabel.measurements.geometry import LVGeometry, measure_geometry
from cardiolabel.measurements.quality import (
    Flag,
    QualityLimits,
    frame_flags,
    is_foreshortened,
    temporal_outliers,
)
from cardiolabel.measurements.records import MaskedImage, PatientRow, Study
from cardiolabel.measurements.study import measure_study

from .shapes import HALF_MM, MM, Heart, Ventricle, beating, cine, still

LIMITS = QualityLimits()


@pytest.fixture(scope="module")
def sound() -> LVGeometry:
    return measure_geometry(Ventricle().mask(MM), MM, labels=CAMUS_LABELS)


def row(study: Study, method: Method = Method.BIPLANE) -> PatientRow:
    return next(row for row in study.rows if row.method is method)


def test_a_sound_frame_raises_none(sound: LVGeometry) -> None:
    assert frame_flags(sound, LIMITS) == []


@pytest.mark.parametrize(
    ("flag", "bad", "good"),
    [
        (Flag.ANNULUS_TILT, {"annulus_tilt_deg": 20.1}, {"annulus_tilt_deg": 20.0}),
        (Flag.ANNULUS_FROM_SHAPE, {"annulus_from_shape": True}, {"annulus_from_shape": False}),
        (Flag.BORDER_CONTACT, {"touches_border": True}, {"touches_border": False}),
        (Flag.FRAGMENTS, {"fragment_share": 0.011}, {"fragment_share": 0.01}),
        (Flag.UNCALIBRATED, {"calibrated": False}, {"calibrated": True}),
        (Flag.IMPLAUSIBLE_SIZE, {"length": 146.0}, {"length": 145.0}),
        (Flag.IMPLAUSIBLE_SIZE, {"area": 59.0}, {"area": 61.0}),
    ],
)
def test_flags_of_one_frame(
    sound: LVGeometry, flag: Flag, bad: dict[str, float], good: dict[str, float]
) -> None:
    assert frame_flags(replace(sound, **bad), LIMITS) == [flag]
    assert frame_flags(replace(sound, **good), LIMITS) == []


def test_limits_can_be_moved(sound: LVGeometry) -> None:
    tilted = replace(sound, annulus_tilt_deg=12.0)
    assert frame_flags(tilted, QualityLimits(annulus_tilt_deg=10)) == [Flag.ANNULUS_TILT]


@pytest.mark.parametrize(("a4c", "a2c", "short"), [(90, 81.5, False), (90, 80.5, True), (80.5, 90, True)])
def test_foreshortening_is_a_share_of_the_longer_view(a4c: float, a2c: float, short: bool) -> None:
    assert is_foreshortened(a4c, a2c, LIMITS) is short


def test_foreshortening_reaches_the_biplane_row_only() -> None:
    heart = Heart()
    short = replace(heart, a2c_es=replace(heart.a2c_es, semi_axis_mm=60.0))
    assert Flag.FORESHORTENING not in row(measure_study(heart.images(MM))).quality
    study = measure_study(short.images(MM))
    assert Flag.FORESHORTENING in row(study).quality
    assert Flag.FORESHORTENING not in row(study, Method.SINGLE_PLANE_A4C).quality


def test_flags_of_frames_reach_the_rows_that_use_them() -> None:
    images = Heart().images(MM)
    crumbs = images[0].masks.copy()
    crumbs[0, :5, :20] = 1
    images[0] = replace(images[0], masks=crumbs)
    study = measure_study(images)
    assert row(study).quality == (Flag.FRAGMENTS,)
    assert row(study, Method.SINGLE_PLANE_A2C).quality == ()


@pytest.mark.parametrize(("radius", "unusual"), [(23.5, True), (5.0, True), (17.0, False)])
def test_unusual_ef(radius: float, unusual: bool) -> None:
    ed = Ventricle()
    es = replace(ed, radius_mm=radius)
    images = [still(plane.mask(MM), View.A4C, phase) for plane, phase in ((ed, Phase.ED), (es, Phase.ES))]
    result = row(measure_study(images), Method.SINGLE_PLANE_A4C)
    assert result.ef_pct is not None
    assert (Flag.UNUSUAL_EF in result.quality) is unusual


def cine_of(sizes: list[float], **listed: int) -> MaskedImage:
    return cine(beating(sizes), **listed)


def test_temporal_outlier_marks_the_frame_that_jumps() -> None:
    sizes = [1.0, 0.98, 0.94, 0.9, 0.86, 0.85, 0.88, 0.92]
    smooth = measure_study([cine_of(sizes)])
    assert all(Flag.TEMPORAL_OUTLIER not in frame.quality for frame in smooth.frames)
    sizes[3] = 0.6
    jumped = measure_study([cine_of(sizes)])
    marked = [frame.frame for frame in jumped.frames if Flag.TEMPORAL_OUTLIER in frame.quality]
    assert marked == [3]


def test_phases_from_area_says_that_no_one_named_them() -> None:
    sizes = [1.0, 0.97, 0.92, 0.88, 0.93, 0.98, 0.99]
    guessed = row(measure_study([cine_of(sizes)]), Method.SINGLE_PLANE_A4C)
    named = row(measure_study([cine_of(sizes, ed_frame=1, es_frame=4)]), Method.SINGLE_PLANE_A4C)
    assert guessed.quality == (Flag.PHASES_FROM_AREA,)
    assert named.quality == ()
    assert guessed.ef_pct == named.ef_pct


@pytest.mark.parametrize(
    ("areas", "marked"),
    [
        ([100, 100, 150, 100, 100, 100], [2]),
        ([100, np.nan, 100, 100, 40, 100, 100], [4]),
        ([100, 100, 500, 100], []),  # too few to judge
        ([np.nan] * 6, []),
        ([], []),
        (list(100 + 30 * np.cos(np.arange(40) / 4)), []),
    ],
)
def test_outliers_of_area_curves(areas: list[float], marked: list[int]) -> None:
    assert np.flatnonzero(temporal_outliers(np.array(areas, float), LIMITS)).tolist() == marked


def test_a_clip_that_ends_before_es_says_so() -> None:
    result = row(measure_study([cine_of([1.0, 0.97, 0.93, 0.9])]), Method.SINGLE_PLANE_A4C)
    assert result.quality == (Flag.PHASES_FROM_AREA, Flag.CUT_BEAT)


def apical_pair(spacing: Spacing | None, *, size: float = 1.0, slim: float = 1.0) -> PatientRow:
    """A4C of a ventricle of 85 by 46 mm times ``size``, its pixels then taken to be of another size."""
    true = Spacing(0.5 * size, 0.5 * size * slim)
    ed = Ventricle(85.0, 23.0).mask(HALF_MM)
    es = Ventricle(72.0, 18.0).mask(HALF_MM)
    images = [
        still(mask, View.A4C, phase, spacing=spacing or true)
        for mask, phase in ((ed, Phase.ED), (es, Phase.ES))
    ]
    return row(measure_study(images), Method.SINGLE_PLANE_A4C)


@pytest.mark.parametrize(
    "wrong",
    [
        Spacing(0.05, 0.05),  # centimetres read as millimetres
        Spacing(0.005, 0.005),
        Spacing(1.0, 1.0),  # a default
        Spacing(1.65, 1.65),
        Spacing(5.0, 5.0),
        Spacing(500.0, 500.0),
        Spacing(1.65, 0.5),  # one axis only
    ],
    ids=str,
)
def test_sizes_that_no_heart_has_are_flagged(wrong: Spacing) -> None:
    result = apical_pair(wrong)
    assert result.ef_pct is not None and result.edv_ml is not None
    assert Flag.IMPLAUSIBLE_SIZE in result.quality


@pytest.mark.parametrize("size", [0.3, 0.45, 0.7, 1.0, 1.3, 1.55])
@pytest.mark.parametrize("slim", [0.85, 1.0, 1.2])
def test_hearts_of_babies_and_dilated_hearts_are_not(size: float, slim: float) -> None:
    """Long axes of 26 to 132 mm, volumes of 2 to 470 ml."""
    assert Flag.IMPLAUSIBLE_SIZE not in apical_pair(None, size=size, slim=slim).quality


def test_a_size_in_pixels_is_never_implausible() -> None:
    images = [replace(image, spacing=None) for image in Heart().images(Spacing(0.05, 0.05))]
    assert all(Flag.IMPLAUSIBLE_SIZE not in frame.quality for frame in measure_study(images).frames)
