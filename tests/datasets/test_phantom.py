"""The phantom's masks hold the volume that its truth states, and its images look like echo."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cardiolabel.datasets.phantom import PhantomImage, PhantomStudy, make_study, write_sample
from cardiolabel.datasets.phantom_geometry import Beat, Heart, ellipsoid_volume_ml
from cardiolabel.domain import CAMUS_LABELS, Phase, Spacing, View
from cardiolabel.io import nifti
from cardiolabel.records import manifest

LV, WALL, ATRIUM = (CAMUS_LABELS.value(name) for name in ("lv_cavity", "myocardium", "left_atrium"))
SPACINGS = (Spacing(row_mm=0.39, col_mm=0.415), Spacing(row_mm=0.3, col_mm=0.5))
SHAPES = ((384, 468), (500, 390))


def stills(seed: int, grid: int = 0) -> PhantomStudy:
    return make_study("p", seed=seed, shape=SHAPES[grid], spacing=SPACINGS[grid], cine=False)


def image(study: PhantomStudy, view: View, phase: Phase) -> PhantomImage:
    (result,) = [item for item in study.images if (item.view, item.phase) == (view, phase)]
    return result


def positions_mm(mask: NDArray[np.bool_], spacing: Spacing) -> NDArray[np.float64]:
    return np.argwhere(mask) * (spacing.row_mm, spacing.col_mm)


def disc_widths_mm(
    mask: NDArray[np.uint8], spacing: Spacing, discs: int = 20
) -> tuple[float, NDArray[np.float64]]:
    """Length and widths of discs across the axis from annulus midpoint to apex, from the mask alone."""
    cavity = positions_mm(mask == LV, spacing)
    touches_atrium = np.zeros_like(mask, dtype=bool)
    touches_atrium[:-1] = (mask[:-1] == LV) & (mask[1:] == ATRIUM)
    edge = positions_mm(touches_atrium, spacing)
    annulus = (edge[edge[:, 1].argmin()] + edge[edge[:, 1].argmax()]) / 2 + (spacing.row_mm / 2, 0)
    apex = cavity[np.hypot(*(cavity - annulus).T).argmax()]
    tip = cavity[cavity @ (apex - annulus) > (apex - annulus) @ apex - 1.0 * np.hypot(*(apex - annulus))]
    axis = tip.mean(axis=0) - annulus
    axis /= np.hypot(*axis)
    height = (cavity - annulus) @ axis
    length = float(height.max()) + spacing.row_mm / 2
    counts = np.histogram(height, bins=discs, range=(0, length))[0]
    counts[0] += int((height < 0).sum())
    return length, counts * spacing.pixel_area_mm2 / (length / discs)


def volume_from_masks_ml(study: PhantomStudy, phase: Phase) -> float:
    cut = []
    for view in (View.A4C, View.A2C):
        still = image(study, view, phase)
        assert still.clip.spacing is not None
        cut.append(disc_widths_mm(still.masks[0], still.clip.spacing))
    (length_a, widths_a), (length_b, widths_b) = cut
    return math.pi / 4 * float((widths_a * widths_b).sum()) * max(length_a, length_b) / len(widths_a) / 1000


@pytest.mark.parametrize("grid", [0, 1])
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_discs_cut_from_the_masks_give_the_true_volumes(seed: int, grid: int) -> None:
    study = stills(seed, grid)
    edv_ml, esv_ml = (volume_from_masks_ml(study, phase) for phase in (Phase.ED, Phase.ES))
    assert edv_ml == pytest.approx(study.truth.edv_ml, rel=0.02)
    assert esv_ml == pytest.approx(study.truth.esv_ml, rel=0.02)
    assert 100 * (1 - esv_ml / edv_ml) == pytest.approx(study.truth.ef_pct, abs=0.5)


@pytest.mark.parametrize("waist", [0.0, 0.2, 0.38])
def test_closed_form_volume_is_the_limit_of_simpsons_sum(waist: float) -> None:
    s = (np.arange(100_000) + 0.5) / 100_000
    shape = 1 - ((s - waist) / (1 - waist)) ** 2
    expected = math.pi / 4 * 92.0 * 50.0 * 44.0 * float(shape.mean()) / 1000
    assert ellipsoid_volume_ml((90.0, 92.0), (50.0, 44.0), waist=waist) == pytest.approx(expected, rel=1e-6)


def test_truth_agrees_with_itself() -> None:
    truth = stills(5).truth
    assert truth.ef_pct == pytest.approx(100 * (truth.edv_ml - truth.esv_ml) / truth.edv_ml)
    assert truth.length_a4c_es_mm < truth.length_a4c_ed_mm
    assert truth.length_a2c_es_mm < truth.length_a2c_ed_mm


def test_patients_span_weak_and_strong_hearts_of_human_size() -> None:
    hearts = [Heart.draw(np.random.default_rng(seed)) for seed in range(300)]
    ef_pct = [heart.ef_pct for heart in hearts]
    assert 20 <= min(ef_pct) < 25
    assert 65 < max(ef_pct) <= 70
    assert all(75 < length < 97 for heart in hearts for length in heart.lengths_ed_mm)
    assert all(40 < width < 59 for heart in hearts for width in heart.widths_ed_mm)
    assert all(75 < heart.volume_ml(0.0) < 180 for heart in hearts)


@pytest.mark.parametrize("view", [View.A4C, View.A2C])
def test_wall_surrounds_the_cavity_and_the_atrium_lies_deeper(view: View) -> None:
    for phase in (Phase.ED, Phase.ES):
        (mask,) = image(stills(3), view, phase).masks
        assert set(np.unique(mask)) == {0, LV, WALL, ATRIUM}
        rows = np.nonzero((mask == LV).any(axis=1))[0]
        middle = mask[rows[len(rows) // 2]]
        runs = middle[np.nonzero(np.diff(middle, prepend=0))[0]]
        assert runs.tolist() == [WALL, LV, WALL, 0]
        assert np.argwhere(mask == ATRIUM)[:, 0].mean() > rows.max()
        assert mask[: rows.min(), :].max() == WALL


def test_wall_is_thicker_at_end_systole() -> None:
    study = stills(4)
    still = [image(study, View.A4C, phase).masks[0] for phase in (Phase.ED, Phase.ES)]
    rows = [np.nonzero((mask == LV).any(axis=1))[0] for mask in still]
    ed, es = (int((mask[row[len(row) // 2]] == WALL).sum()) for mask, row in zip(still, rows, strict=True))
    assert es > ed


def test_same_seed_same_study_and_the_name_does_not_matter() -> None:
    first, again, other = stills(7), stills(7), stills(8)
    named = make_study("q", seed=7, shape=SHAPES[0], spacing=SPACINGS[0], cine=False)
    assert first.truth == again.truth
    assert other.truth != first.truth
    for a, b, c, d in zip(first.images, again.images, named.images, other.images, strict=True):
        assert np.array_equal(a.clip.pixels, b.clip.pixels)
        assert np.array_equal(a.masks, b.masks)
        assert np.array_equal(a.clip.pixels, c.clip.pixels)
        assert c.image_id == a.image_id.replace("p_", "q_")
        assert not np.array_equal(a.clip.pixels, d.clip.pixels)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_image_looks_like_echo(seed: int) -> None:
    for item in stills(seed).images:
        (frame,), (mask,) = item.clip.pixels, item.masks
        assert frame.dtype == np.uint8
        assert item.masks.dtype == np.uint8
        rows, cols = SHAPES[0]
        depth = (np.arange(rows) + 0.5)[:, None] * SPACINGS[0].row_mm
        lateral = (np.arange(cols) + 0.5 - cols / 2)[None, :] * SPACINGS[0].col_mm
        outside = (np.hypot(depth, lateral) > rows * SPACINGS[0].row_mm) | (np.abs(lateral) > depth)
        assert not frame[outside].any()
        assert not mask[outside].any()
        assert 0.50 < (frame > 0).mean() < 0.58
        assert (frame[mask > 0] > 0).all()
        wall, blood = frame[mask == WALL].astype(float), frame[mask == LV].astype(float)
        assert np.median(wall) > np.median(blood) + 20
        assert 0.1 < wall.std() / wall.mean() < 0.5
        assert 30 < np.median(blood) < 110


def test_speckle_is_wider_across_the_beam_than_along_it() -> None:
    frame = image(stills(1), View.A2C, Phase.ED).clip.pixels[0].astype(float)
    deep = frame[250:330, 210:258]
    along, across = (np.abs(np.diff(deep, axis=axis)).mean() for axis in (0, 1))
    assert across < along


def test_cine_beats_smoothly_from_its_ed_frame_to_its_es_frame() -> None:
    study = make_study("p", seed=2, shape=(192, 234), spacing=Spacing(row_mm=0.78, col_mm=0.83))
    for view in (View.A4C, View.A2C):
        cine = image(study, view, Phase.CINE)
        assert cine.clip.shape == cine.masks.shape == (24, 192, 234)
        assert cine.clip.frame_rate_hz == 24.0
        assert cine.ed_frame == 1
        assert cine.es_frame is not None
        area = (cine.masks == LV).sum(axis=(1, 2))
        assert area.argmin() == cine.es_frame - 1
        assert area[0] == area.max()
        assert np.abs(np.diff(area)).max() < 0.4 * (area.max() - area.min())
        step = np.abs(np.diff(cine.clip.pixels.astype(float), axis=0)).mean(axis=(1, 2))
        half_beat = np.abs(cine.clip.pixels[0].astype(float) - cine.clip.pixels[cine.es_frame - 1]).mean()
        assert step.min() > 0
        assert step.max() < half_beat
        for phase, number in ((Phase.ED, 1), (Phase.ES, cine.es_frame)):
            still = image(study, view, phase)
            assert np.array_equal(still.clip.pixels[0], cine.clip.pixels[number - 1])
            assert still.ed_frame is None
            assert still.es_frame is None


def test_stills_do_not_depend_on_cines_being_made() -> None:
    spacing = Spacing(row_mm=0.78, col_mm=0.83)
    with_cine = make_study("p", seed=2, shape=(192, 234), spacing=spacing)
    without = make_study("p", seed=2, shape=(192, 234), spacing=spacing, cine=False)
    assert len(without.images) == 4
    assert len(with_cine.images) == 6
    for still in without.images:
        twin = image(with_cine, still.view, still.phase)
        assert np.array_equal(still.clip.pixels, twin.clip.pixels)


def test_beat_repeats_and_stays_between_its_ends() -> None:
    beat = Beat(cycle_frames=20.0, es_frame=8)
    states = np.array([beat.state(number) for number in range(1, 41)])
    assert np.allclose(states[:20], states[20:])
    assert states.min() >= 0
    assert states.max() <= 1
    assert (np.diff(states[:8, 0]) > 0).all()
    assert (np.diff(states[7:21, 0]) <= 1e-12).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"frames": 2}, "end-systole"),
        ({"frames": 0}, "end-systole"),
        ({"frame_rate_hz": 0.0}, "frame_rate_hz"),
        ({"frame_rate_hz": math.nan}, "frame_rate_hz"),
        ({"shape": (16, 16)}, "at least 32"),
        ({"shape": (384, 100)}, "mm wide"),
        ({"shape": (200, 250)}, "does not fit"),
        ({"seed": -1}, "non-negative"),
    ],
)
def test_impossible_requests_are_refused(changed: dict[str, object], message: str) -> None:
    request: dict[str, object] = {"seed": 0, "spacing": SPACINGS[0], **changed}
    with pytest.raises(ValueError, match=message):
        make_study("p", **request)  # type: ignore[arg-type]


def test_sample_folder(tmp_path: Path) -> None:
    write_sample(tmp_path / "new" / "sample")
    folder = tmp_path / "new" / "sample"
    records = manifest.read(folder)
    kinds = {
        patient: sorted({record.phase.value for record in records if record.patient == patient})
        for patient in ("phantom01", "phantom02", "phantom03", "phantom04")
    }
    assert list(kinds.values()) == [["ED", "ES"], ["ED", "ES", "cine"], ["cine"], ["ED", "ES"]]
    assert not (folder / "labels").exists()
    spacings = set()
    for record in records:
        clip, masks = nifti.read(record.path).clip, nifti.read_mask(folder / "truth" / record.path.name)
        assert clip.shape == masks.shape
        assert clip.spacing is not None
        spacings.add((record.patient, round(clip.spacing.row_mm / clip.spacing.col_mm, 2)))
        assert (record.es_frame is None) == (record.phase is not Phase.CINE)
    assert {ratio == 1 for _, ratio in spacings} == {True, False}
    assert len(spacings) == 4
    with (folder / "truth.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["patient"] for row in rows] == list(kinds)
    assert all(float(row["edv_ml"]) > float(row["esv_ml"]) > 0 for row in rows)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 6_000_000


def test_sample_of_no_patients_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="patients"):
        write_sample(tmp_path, patients=0)
