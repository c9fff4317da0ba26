"""ED and ES found in area curves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.phases import Beat, find_beats, is_cut
from cardiolabel.measurements.quality import QualityLimits, temporal_outliers

PERIOD_S = 0.9


def curve(
    *, beats: float, rate_hz: float = 30.0, start: float = 0.0, noise: float = 0.0
) -> NDArray[np.float64]:
    """Areas of a heart that starts at ``start`` of its cycle: 0 at ED, 0.5 at ES."""
    time_s = np.arange(round(beats * PERIOD_S * rate_hz) + 1) / rate_hz
    rng = np.random.default_rng(3)
    areas = 2000 + 600 * np.cos(2 * np.pi * (time_s / PERIOD_S + start))
    return areas + noise * rng.standard_normal(len(areas))


def near(found: list[Beat], expected: list[tuple[float, float]], frames: float = 1.5) -> bool:
    return len(found) == len(expected) and all(
        abs(beat.ed - ed) <= frames and abs(beat.es - es) <= frames
        for beat, (ed, es) in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("rate_hz", [20.0, 50.0, 120.0])
def test_several_beats(rate_hz: float) -> None:
    period = PERIOD_S * rate_hz
    result = find_beats(curve(beats=3, rate_hz=rate_hz), rate_hz)
    assert near(result, [(k * period, (k + 0.5) * period) for k in range(3)])


def test_a_clip_that_starts_at_end_systole() -> None:
    result = find_beats(curve(beats=2, start=0.5), 30.0)
    assert near(result, [(13.5, 27), (40.5, 54)])


def test_one_beat_that_starts_at_end_systole_and_ends_in_diastole() -> None:
    assert find_beats(np.linspace(1000, 1600, 9), 30.0) == [Beat(ed=8, es=0)]


def test_a_half_sequence() -> None:
    assert find_beats(np.linspace(1600, 1000, 9), None) == [Beat(ed=0, es=8)]


def test_two_frames() -> None:
    assert find_beats(np.array([1600.0, 1000.0]), None) == [Beat(0, 1)]


@pytest.mark.parametrize("start", [0.25, 0.3])
def test_a_beat_whose_end_diastole_is_cut_off_does_not_count(start: float) -> None:
    result = find_beats(curve(beats=2.4, start=start), 30.0)
    assert all(beat.ed > 0 for beat in result) and len(result) == 2


def test_a_cut_beat_counts_where_it_is_the_only_one() -> None:
    areas = curve(beats=0.7, start=0.25)  # from mid-systole into diastole
    (beat,) = find_beats(areas, 30.0)
    assert areas[beat.es] == areas.min()


def test_noise_makes_no_beats() -> None:
    result = find_beats(curve(beats=3, noise=40), 30.0)
    assert near(result, [(k * 27, (k + 0.5) * 27) for k in range(3)], frames=4)


def test_the_shortest_beat_is_a_time_not_a_number_of_frames() -> None:
    areas = curve(beats=2, rate_hz=100.0)
    areas[48:56] += 900  # the valve is taken for the wall, for 80 ms
    assert near(find_beats(areas, 100.0), [(0, 46), (90, 135)], frames=14)
    assert len(find_beats(areas, None)) == 3
    slow = curve(beats=4, rate_hz=8.0)  # frames 125 ms apart: every beat is still seen
    assert len(find_beats(slow, 8.0)) == 4


def test_missing_frames_are_bridged_and_never_picked() -> None:
    areas = curve(beats=2)
    areas[[0, 1, 13, 14]] = np.nan
    for beat in find_beats(areas, 30.0):
        assert np.isfinite(areas[beat.ed]) and np.isfinite(areas[beat.es])


@pytest.mark.parametrize(
    ("areas", "reason"),
    [
        ([1000.0], "at least two frames"),
        ([], "at least two frames"),
        ([np.nan] * 12, "at least two frames"),
        ([np.nan, 1000.0, np.nan], "at least two frames"),
        ([1000.0] * 12, "changes by less than 5 %"),
        ([0.0] * 12, "changes by less than 5 %"),
        ([1000.0, 980.0] * 8, "changes by less than 5 %"),
    ],
)
def test_curves_without_a_beat(areas: list[float], reason: str) -> None:
    with pytest.raises(MeasurementError, match=reason):
        find_beats(np.array(areas), 30.0)


@settings(max_examples=100)
@given(
    areas=st.lists(st.one_of(st.floats(1, 5000), st.just(float("nan"))), min_size=0, max_size=60),
    rate_hz=st.one_of(st.none(), st.floats(0.5, 300)),
)
def test_any_curve_gives_frames_of_it_or_a_reason(areas: list[float], rate_hz: float | None) -> None:
    curve = np.array(areas, dtype=np.float64)
    try:
        beats = find_beats(curve, rate_hz)
    except MeasurementError:
        return
    assert beats
    for beat in beats:
        assert np.isfinite(curve[[beat.ed, beat.es]]).all()


@given(factor=st.floats(1e-3, 1e3))
@settings(max_examples=10)
def test_the_unit_of_the_area_does_not_matter(factor: float) -> None:
    areas = curve(beats=2.4, noise=20)
    assert find_beats(areas * factor, 30.0) == find_beats(areas, 30.0)


def swing(phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 at ED and 1 at ES of a cycle whose systole takes 38 % of it."""
    phase = phase % 1.0
    systole = 0.5 - 0.5 * np.cos(np.pi * phase / 0.38)
    return np.where(phase < 0.38, systole, 0.5 + 0.5 * np.cos(np.pi * (phase - 0.38) / 0.62))


def mean_ef(beats: list[Beat], swings: NDArray[np.float64]) -> float:
    """EF in % of ventricles of 90 by 45 mm at ED and 75 by 35 mm at ES."""
    volumes = (90 - 15 * swings) * (45 - 10 * swings) ** 2
    edv, esv = (np.mean([volumes[getattr(beat, phase)] for beat in beats]) for phase in ("ed", "es"))
    return float(100 * (1 - esv / edv))


@pytest.mark.parametrize("beats", [1.0, 1.3, 1.5, 2.0, 2.5, 3.2])
@pytest.mark.parametrize("per_beat", [12, 17, 30, 60])
@pytest.mark.parametrize("has_rate", [True, False])
def test_a_clip_with_a_whole_beat_gives_its_ef_wherever_it_begins(
    beats: float, per_beat: int, has_rate: bool
) -> None:
    true_ef = 100 * (1 - 75 * 35**2 / (90 * 45**2))
    for start in range(per_beat):
        swings = swing((np.arange(round(beats * per_beat)) + start) / per_beat)
        areas = (90 - 15 * swings) * (45 - 10 * swings)
        result = find_beats(areas, float(per_beat) if has_rate else None)
        sampled = swing((np.arange(per_beat) + start) / per_beat)  # at few frames none is quite at ES
        whole = mean_ef([Beat(int(sampled.argmin()), int(sampled.argmax()))], sampled)
        assert mean_ef(result, swings) == pytest.approx(whole, abs=1.0), start
        if per_beat >= 17:
            assert mean_ef(result, swings) == pytest.approx(true_ef, abs=1.5), start


def test_noise_of_one_percent_moves_the_ef_of_a_one_beat_clip_little() -> None:
    rng = np.random.default_rng(5)
    errors = []
    for start in range(30):
        swings = swing((np.arange(30) + start) / 30)
        areas = (90 - 15 * swings) * (45 - 10 * swings) * (1 + 0.01 * rng.standard_normal(30))
        noisy, clean = (find_beats(curve, 30.0) for curve in (areas, 1 - 0.4 * swings))
        errors.append(mean_ef(noisy, swings) - mean_ef(clean, swings))
    assert np.abs(errors).max() < 1.5 and np.abs(errors).mean() < 0.5


def test_beats_that_differ_are_all_averaged() -> None:
    strengths = (1.0, 0.8, 0.95)
    swings = np.concatenate([strength * swing(np.arange(24) / 24) for strength in strengths])
    result = find_beats(1 - 0.4 * swings, 24.0)
    assert near(result, [(24 * k, 24 * k + 9) for k in range(3)])


@pytest.mark.parametrize(
    ("start", "beats", "expected"),
    [
        (0.0, 1.0, False),
        (0.27, 1.0, False),
        (0.27, 2.4, False),
        (0.1, 0.6, True),
        (0.0, 0.38, True),
    ],
)
def test_a_clip_shorter_than_a_beat_may_cut_its_ed_or_es(start: float, beats: float, expected: bool) -> None:
    areas = 1 - 0.4 * swing(start + np.arange(round(beats * 40)) / 40)
    assert any(is_cut(areas, beat) for beat in find_beats(areas, 40.0)) is expected


@pytest.mark.parametrize("frames_per_beat", [8, 9, 10, 12])
@pytest.mark.parametrize("start", range(0, 8, 3))
def test_sharp_beats_of_few_frames_keep_their_ed_and_es(frames_per_beat: int, start: int) -> None:
    """Ejection takes a third of a beat and filling a fifth, as at 10 frames per second."""
    at = (np.arange(2 * frames_per_beat + 1) + start) / frames_per_beat % 1
    areas = 100 - 50 * np.interp(at, [0, 1 / 3, 8 / 15, 1], [0, 1, 0, 0])
    assert not temporal_outliers(areas, QualityLimits()).any()


@pytest.mark.parametrize("frame_rate_hz", [200.0, 500.0, 1000.0])
def test_a_frame_rate_at_which_the_clip_holds_no_beat_is_ignored(frame_rate_hz: float) -> None:
    areas = 75 + 25 * np.cos(np.linspace(0, 4 * np.pi, 61))
    assert find_beats(areas, frame_rate_hz) == find_beats(areas, None)
