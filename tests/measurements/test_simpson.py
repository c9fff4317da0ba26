"""Both conventions, every method, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cardiolabel.domain import Convention, Method, Phase, View
from cardiolabel.measurements.cycles import ViewCycles
from cardiolabel.measurements.geometry import LVGeometry
from cardiolabel.measurements.quality import Flag, QualityLimits
from cardiolabel.measurements.records import BeatRow, Cycle, FrameRow, PatientRow
from cardiolabel.measurements.simpson import apical_rows

LIMITS = QualityLimits()
GUIDELINE, CAMUS = Convention.GUIDELINE, Convention.CAMUS
QUARTER_PI = np.pi / 4


def geometry(length_mm: float, width_mm: float, *, calibrated: bool = True) -> LVGeometry:
    """A cylinder: 20 equal diameters."""
    nothing = np.zeros((4, 2))
    return LVGeometry(
        contour_px=nothing,
        annulus_px=nothing[:2],
        apex_px=nothing[0],
        area=length_mm * width_mm,
        length=length_mm,
        diameters=np.full(20, width_mm),
        discs_px=np.zeros((20, 2, 2)),
        annulus_tilt_deg=0.0,
        annulus_from_shape=False,
        touches_border=False,
        fragment_count=0,
        fragment_share=0.0,
        calibrated=calibrated,
    )


def cycle(view: View, ed: LVGeometry, es: LVGeometry) -> Cycle:
    rows = (
        FrameRow(f"p_{view}", "p", view, phase, 0, 1.0, 1.0, 1.0, (), "", shape)
        for phase, shape in ((Phase.ED, ed), (Phase.ES, es))
    )
    return Cycle(*rows)


def view_of(view: View, *cycles: tuple[LVGeometry, LVGeometry], reason: str = "") -> ViewCycles:
    return ViewCycles(view, tuple(cycle(view, ed, es) for ed, es in cycles), reason, (), 2)


A4C = view_of(View.A4C, (geometry(80, 40), geometry(60, 30)))
A2C = view_of(View.A2C, (geometry(100, 20), geometry(70, 10)))
NO_A4C, NO_A2C = (view_of(view, reason=f"no {view} image") for view in (View.A4C, View.A2C))


def rows(
    a4c: ViewCycles = A4C, a2c: ViewCycles = A2C
) -> tuple[dict[tuple[Method, Convention], PatientRow], list[BeatRow]]:
    result, beats = apical_rows("p", a4c, a2c, LIMITS)
    table = {(row.method, row.convention): row for row in result}
    assert len(table) == len(result) == 8
    return table, list(beats)


def test_the_guideline_takes_each_phases_longer_view() -> None:
    row = rows()[0][Method.BIPLANE, GUIDELINE]
    assert row.edv_ml == pytest.approx(QUARTER_PI * 40 * 20 * 100 / 1000)
    assert row.esv_ml == pytest.approx(QUARTER_PI * 30 * 10 * 70 / 1000)
    assert row.ef_pct == pytest.approx(100 * (1 - 300 * 70 / (800 * 100)))  # 73.75
    assert row.sv_ml == pytest.approx(QUARTER_PI * (80 - 21))


def test_camus_takes_one_length_the_longest_of_all_four() -> None:
    row = rows()[0][Method.BIPLANE, CAMUS]
    assert row.edv_ml == pytest.approx(QUARTER_PI * 40 * 20 * 100 / 1000)
    assert row.esv_ml == pytest.approx(QUARTER_PI * 30 * 10 * 100 / 1000)
    assert row.ef_pct == pytest.approx(62.5)


def test_the_longest_may_be_at_end_systole() -> None:
    a2c = view_of(View.A2C, (geometry(75, 20), geometry(120, 10)))
    table, _ = rows(A4C, a2c)
    assert table[Method.BIPLANE, GUIDELINE].edv_ml == pytest.approx(QUARTER_PI * 800 * 80 / 1000)
    assert table[Method.BIPLANE, GUIDELINE].esv_ml == pytest.approx(QUARTER_PI * 300 * 120 / 1000)
    assert table[Method.BIPLANE, CAMUS].edv_ml == pytest.approx(QUARTER_PI * 800 * 120 / 1000)


def test_single_planes_use_their_own_lengths_only() -> None:
    table, _ = rows()
    row = table[Method.SINGLE_PLANE_A4C, GUIDELINE]
    assert row.edv_ml == pytest.approx(QUARTER_PI * 40**2 * 80 / 1000)
    assert row.esv_ml == pytest.approx(QUARTER_PI * 30**2 * 60 / 1000)
    assert table[Method.SINGLE_PLANE_A4C, CAMUS].esv_ml == pytest.approx(QUARTER_PI * 30**2 * 80 / 1000)
    assert table[Method.SINGLE_PLANE_A2C, GUIDELINE].esv_ml == pytest.approx(QUARTER_PI * 10**2 * 70 / 1000)


def test_area_length_of_both_views_and_of_one() -> None:
    row = rows()[0][Method.AREA_LENGTH, GUIDELINE]
    assert row.edv_ml == pytest.approx(8 * 3200 * 2000 / (3 * np.pi * 100) / 1000)
    assert row.esv_ml == pytest.approx(8 * 1800 * 700 / (3 * np.pi * 70) / 1000)
    alone = rows(A4C, NO_A2C)[0][Method.AREA_LENGTH, GUIDELINE]
    assert alone.edv_ml == pytest.approx(8 * 3200**2 / (3 * np.pi * 80) / 1000)
    assert alone.reason == ""


@pytest.mark.parametrize("views", [(A4C, A2C), (A4C, NO_A2C), (NO_A4C, NO_A2C)])
def test_area_length_has_no_camus_convention(views: tuple[ViewCycles, ViewCycles]) -> None:
    row = rows(*views)[0][Method.AREA_LENGTH, CAMUS]
    reason = "the camus convention is defined for discs only"
    assert row == PatientRow("p", Method.AREA_LENGTH, CAMUS, reason=reason)


def test_lengths_are_each_views_own_in_both_conventions() -> None:
    table, _ = rows()
    for convention in Convention:
        row = table[Method.BIPLANE, convention]
        lengths = (row.length_a4c_ed_mm, row.length_a2c_ed_mm, row.length_a4c_es_mm, row.length_a2c_es_mm)
        assert lengths == (80, 100, 60, 70)
    alone = table[Method.SINGLE_PLANE_A2C, GUIDELINE]
    assert (alone.length_a4c_ed_mm, alone.length_a2c_ed_mm) == (None, 100)


def test_no_interval_is_claimed_yet() -> None:
    assert {(row.ef_low_pct, row.ef_high_pct) for row in rows()[0].values()} == {(None, None)}


def test_a_missing_view_is_named_and_the_other_still_measured() -> None:
    table, _ = rows(A4C, NO_A2C)
    for convention in Convention:
        row = table[Method.BIPLANE, convention]
        assert (row.ef_pct, row.edv_ml, row.reason) == (None, None, "no A2C image")
        assert table[Method.SINGLE_PLANE_A4C, convention].ef_pct is not None
    both = rows(NO_A4C, NO_A2C)[0][Method.BIPLANE, GUIDELINE]
    assert both.reason == "no A4C image; no A2C image"


def test_a_ventricle_that_grows_has_volumes_and_no_ef() -> None:
    a4c = view_of(View.A4C, (geometry(60, 30), geometry(80, 40)))
    row = rows(a4c, NO_A2C)[0][Method.SINGLE_PLANE_A4C, GUIDELINE]
    assert row.ef_pct is None and "not smaller than at ED" in row.reason
    assert row.edv_ml is not None and row.esv_ml is not None and row.edv_ml < row.esv_ml


def test_without_calibration_single_plane_ef_stays_and_biplane_goes() -> None:
    a4c = view_of(View.A4C, (geometry(80, 40, calibrated=False), geometry(60, 30, calibrated=False)))
    table, beats = rows(a4c, A2C)
    row = table[Method.SINGLE_PLANE_A4C, GUIDELINE]
    assert row.ef_pct == pytest.approx(100 * (1 - 900 * 60 / (1600 * 80)))
    assert row.reason == "the file carries no pixel spacing: volumes are unknown"
    assert (row.edv_ml, row.esv_ml, row.sv_ml, row.length_a4c_ed_mm) == (None, None, None, None)
    biplane = table[Method.BIPLANE, GUIDELINE]
    assert biplane.ef_pct is None and biplane.edv_ml is None and "pixel spacing" in biplane.reason
    assert biplane.quality == (Flag.UNCALIBRATED,)
    assert beats == []


def test_beats_are_listed_and_their_volumes_averaged() -> None:
    beats = (geometry(80, 40), geometry(60, 30)), (geometry(90, 44), geometry(66, 32))
    table, beat_rows = rows(view_of(View.A4C, *beats), NO_A2C)
    of_method = [
        (row.beat, row.edv_ml)
        for row in beat_rows
        if (row.method, row.convention) == (Method.SINGLE_PLANE_A4C, GUIDELINE)
    ]
    edv = [QUARTER_PI * 40**2 * 80 / 1000, QUARTER_PI * 44**2 * 90 / 1000]
    esv = [QUARTER_PI * 30**2 * 60 / 1000, QUARTER_PI * 32**2 * 66 / 1000]
    assert of_method == [(1, pytest.approx(edv[0])), (2, pytest.approx(edv[1]))]
    row = table[Method.SINGLE_PLANE_A4C, GUIDELINE]
    assert row.edv_ml == pytest.approx(sum(edv) / 2)
    assert row.ef_pct == pytest.approx(100 * (1 - sum(esv) / sum(edv)))
    assert row.length_a4c_ed_mm == pytest.approx(85)


def test_camus_length_is_of_the_beat_not_of_the_clip() -> None:
    beats = (geometry(80, 40), geometry(60, 30)), (geometry(90, 44), geometry(66, 32))
    _, beat_rows = rows(view_of(View.A4C, *beats), NO_A2C)
    first = next(row for row in beat_rows if (row.method, row.convention) == (Method.SINGLE_PLANE_A4C, CAMUS))
    assert first.esv_ml == pytest.approx(QUARTER_PI * 30**2 * 80 / 1000)


def test_biplane_pairs_beats_and_leaves_the_rest() -> None:
    two = view_of(View.A4C, (geometry(80, 40), geometry(60, 30)), (geometry(90, 44), geometry(66, 32)))
    table, beat_rows = rows(two, A2C)
    assert not [row for row in beat_rows if row.method is Method.BIPLANE]
    assert table[Method.BIPLANE, GUIDELINE].edv_ml == pytest.approx(QUARTER_PI * 40 * 20 * 100 / 1000)
