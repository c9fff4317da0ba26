"""Every corruption does what its strength says, to the sector alone, and the same again."""

from __future__ import annotations

import numpy as np
import pytest

from cardiolabel.datasets.phantom import PhantomImage, make_study
from cardiolabel.domain import Clip, Spacing, View
from cardiolabel.evaluation.robustness import corruptions as change
from cardiolabel.preprocessing.orientation import is_upside_down

SPACING = Spacing(row_mm=0.6, col_mm=0.9)
APICAL = {View.A2C, View.A4C}
EVERY = {
    corruption.name: corruption for views in (APICAL, {View.SAX}) for corruption in change.corruptions(views)
}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def cone(grey: float = 100, *, dtype: type = np.uint8) -> Clip:
    """Two frames of a triangle from the middle of the first row to the whole last one."""
    rows, cols = np.mgrid[:120, :160]
    inside = np.abs(cols - 79.5) <= 1 + rows * 0.65
    return Clip(np.stack([inside * grey] * 2).astype(dtype), SPACING)


@pytest.fixture(scope="module")
def phantom() -> PhantomImage:
    return make_study("p", seed=2, shape=(140, 150), spacing=Spacing(1.0, 1.15), cine=False).images[0]


def masks_of(clip: Clip) -> np.ndarray:
    masks = np.zeros(clip.shape, np.uint8)
    masks[:, 60:90, 60:100] = 1
    masks[:, 90:100, 60:90] = 3
    return masks


def test_the_sector_is_found_with_its_dark_cavity(phantom: PhantomImage) -> None:
    clip = cone()
    pixels = clip.pixels.copy()
    pixels[:, 50:80, 70:90] = 0  # a black cavity
    assert np.array_equal(change.lit_sector(Clip(pixels, None)), clip.pixels[0] > 0)
    assert change.lit_sector(phantom.clip)[phantom.masks[0] > 0].all()
    assert change.lit_sector(Clip(np.zeros((1, 9, 9)), None)).all()


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_noise_has_its_standard_deviation_in_the_sector_only(share: float) -> None:
    clip = cone(140)
    pixels = clip.pixels.copy()
    pixels[:, :, :80][pixels[:, :, :80] > 0] = 90  # greys from 90 to 140
    before = Clip(pixels, None)
    after = change.noisy(before, share=share, rng=rng())
    difference = after.pixels.astype(float) - pixels
    lit = pixels > 0
    assert difference[lit].std() == pytest.approx(share * 50, rel=0.03)
    assert abs(difference[lit].mean()) < 0.2
    assert not difference[~lit].any()
    assert (difference[0] != difference[1]).any()


def test_speckle_multiplies_and_is_correlated_along_and_more_across() -> None:
    clip = Clip(np.full((1, 500, 400), 100.0), SPACING)
    pixels = clip.pixels.copy()
    pixels[0, 0, 0], pixels[0, 0, 1] = 0, 1000  # black and white of this picture
    after = change.speckled(Clip(pixels, SPACING), share=0.3, rng=rng()).pixels[0, 1:]
    assert (after / 100).std() == pytest.approx(0.3, rel=0.02)
    grains = after - after.mean()

    def correlation(rows: int, cols: int) -> float:
        first, other = grains[rows:, cols:], grains[: len(grains) - rows, : 400 - cols]
        return float((first * other).mean() / grains.var())

    # SD 2 rows (1.2 mm) along and 2.4 mm = 2.67 columns across: exp(-d² / 4 SD²)
    assert correlation(3, 0) == pytest.approx(np.exp(-9 / 16), abs=0.03)
    assert correlation(0, 3) == pytest.approx(np.exp(-9 / (4 * 2.667**2)), abs=0.03)


@pytest.mark.parametrize(("factor", "expected"), [(0.5, 50), (0.3, 30), (2.0, 200), (3.0, 255)])
def test_gain_factors_scale_round_and_saturate(factor: float, expected: int) -> None:
    result = change.scaled(cone(100), factor=factor).pixels
    assert result.dtype == np.uint8 and set(np.unique(result)) == {0, expected}
    assert set(np.unique(change.scaled(cone(101), factor=0.5).pixels)) == {0, 50}  # 50.5 is rounded


def test_greys_of_more_than_8_bits_saturate_where_a_window_would_end() -> None:
    pixels = np.arange(1000, dtype=np.int16).reshape(1, 20, 50) - 100
    result = change.scaled(Clip(pixels, None), factor=2.0).pixels
    top = np.percentile(pixels, 99.5)
    assert result.max() == round(top) and result.min() == -100
    assert np.array_equal(result[pixels < 350], 2 * pixels[pixels < 350] + 100)
    assert change.scaled(Clip(pixels, None), factor=0.5).pixels.max() == 400  # 399.5


@pytest.mark.parametrize(("gain_db", "expected"), [(-12, 49), (12, 151), (-30, 0), (60, 255)])
def test_gain_in_db_moves_greys_of_the_sector(gain_db: float, expected: int) -> None:
    result = change.gained(cone(100), gain_db=gain_db).pixels
    assert set(np.unique(result)) == {0, expected}


def test_attenuation_grows_with_depth_from_the_transducer() -> None:
    clip = cone(200)
    middle = change.attenuated(clip, loss_db=30).pixels[0, :, 80].astype(float)
    assert middle[0] == 200 and middle[-1] == pytest.approx(200 - 127.5, abs=1)
    assert np.allclose(np.diff(middle), -127.5 / 119, atol=1)
    turned, _ = change.upside_down(clip, masks_of(clip))
    assert np.array_equal(
        change.attenuated(turned, loss_db=30).pixels[:, ::-1], change.attenuated(clip, loss_db=30).pixels
    )


def test_blur_is_as_wide_in_mm_both_ways_and_keeps_the_sum() -> None:
    pixels = np.zeros((1, 201, 201))
    pixels[0, 100, 100] = 1e6
    after = change.blurred(Clip(pixels, SPACING), share=0.02).pixels[0]
    assert after.sum() == pytest.approx(1e6)
    away = np.arange(201) - 100
    rows_mm = np.sqrt((after.sum(axis=1) * away**2).sum() / 1e6) * SPACING.row_mm
    cols_mm = np.sqrt((after.sum(axis=0) * away**2).sum() / 1e6) * SPACING.col_mm
    assert rows_mm == pytest.approx(0.02 * 201 * 0.6, rel=0.02)
    assert cols_mm == pytest.approx(rows_mm, rel=0.02)


@pytest.mark.parametrize("share", [0.1, 0.2])
def test_a_narrowed_sector_loses_its_share_at_both_sides_and_keeps_the_masks(share: float) -> None:
    clip, masks = cone(), masks_of(cone())
    after, stored = EVERY[f"sides_{share * 100:.0f}"].change(clip, masks, rng())
    before_px, after_px = (np.count_nonzero(each.pixels[0], axis=1) for each in (clip, after))
    assert np.abs(after_px - (1 - 2 * share) * before_px).max() <= 1
    assert np.array_equal(after.pixels[:, :, ::-1], after.pixels)
    assert np.array_equal(stored, masks)


@pytest.mark.parametrize("move", [change.mirrored, change.upside_down])
def test_a_flip_twice_is_nothing(move: object, phantom: PhantomImage) -> None:
    once = move(phantom.clip, phantom.masks)  # type: ignore[operator]
    again, masks = move(*once)  # type: ignore[operator]
    assert not np.array_equal(once[0].pixels, phantom.clip.pixels)
    assert np.array_equal(again.pixels, phantom.clip.pixels) and np.array_equal(masks, phantom.masks)


def test_masks_move_with_their_pixels(phantom: PhantomImage) -> None:
    """A picture that shows its own mask shows it still."""
    shown = Clip(phantom.masks * 50, phantom.clip.spacing)
    for name in ("mirror", "upside_down", "turn_90"):
        after, masks = EVERY[name].change(shown, phantom.masks, rng())
        assert np.array_equal(after.pixels, masks * 50), name
        assert not np.array_equal(masks, phantom.masks), name


def test_upside_down_is_what_the_product_calls_so(phantom: PhantomImage) -> None:
    after, _ = change.upside_down(phantom.clip, phantom.masks)
    assert not is_upside_down(phantom.clip.pixels[0]) and is_upside_down(after.pixels[0])


def test_a_quarter_turn_changes_height_and_width() -> None:
    after, masks = change.turned(cone(), masks_of(cone()))
    assert after.shape == masks.shape == (2, 160, 120)
    assert after.spacing == Spacing(row_mm=0.9, col_mm=0.6)


@pytest.mark.parametrize(
    ("name", "shape", "spacing"),
    [
        ("coarse", (2, 60, 80), Spacing(1.2, 1.8)),
        ("wide_pixels", (2, 120, 80), Spacing(0.6, 1.8)),
        ("tall_pixels", (2, 60, 160), Spacing(1.2, 0.9)),
    ],
)
def test_coarser_grids(name: str, shape: tuple[int, int, int], spacing: Spacing) -> None:
    clip, masks = cone(), masks_of(cone())
    after, resampled = EVERY[name].change(clip, masks, rng())
    assert after.shape == resampled.shape == shape
    assert after.spacing == spacing and after.pixels.dtype == np.uint8
    ratio = masks.size // resampled.size
    for value in (1, 3):  # edges lie on the coarse grid
        assert (resampled == value).sum() * ratio == (masks == value).sum()
    uncalibrated, _ = EVERY[name].change(Clip(clip.pixels, None), masks, rng())
    assert uncalibrated.spacing is None


def test_an_odd_grid_keeps_its_field_of_view() -> None:
    clip = Clip(np.zeros((1, 41, 30), np.uint8), SPACING)
    after, masks = change.coarser(clip, np.zeros(clip.shape, np.uint8), rows=2, cols=2)
    assert after.shape == masks.shape == (1, 20, 15)
    assert after.spacing is not None
    assert after.spacing.row_mm * 20 == pytest.approx(SPACING.row_mm * 41)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_the_same_again_of_one_type_with_the_input_untouched(name: str, dtype: type) -> None:
    rows = np.linspace(0, 1, 120)[None, :, None]
    clip = Clip((cone().pixels * rows + np.linspace(0, 9, 160)).astype(dtype), SPACING)
    before = clip.pixels.copy()
    masks = masks_of(clip)
    first, other = (EVERY[name].change(clip, masks, rng()) for _ in range(2))
    assert np.array_equal(first[0].pixels, other[0].pixels) and np.array_equal(first[1], other[1])
    assert first[0].pixels.dtype == dtype and first[1].dtype == np.uint8
    assert first[0].shape == first[1].shape
    assert np.array_equal(clip.pixels, before) and np.array_equal(masks, masks_of(clip))
    assert (name == "none") == np.array_equal(first[0].pixels, before)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 7)])
def test_pictures_without_anything_in_them(name: str, shape: tuple[int, int, int]) -> None:
    after, masks = EVERY[name].change(Clip(np.zeros(shape, np.uint8), None), np.zeros(shape, np.uint8), rng())
    assert after.shape == masks.shape
    assert not masks.any()


def test_what_a_model_is_tried_with() -> None:
    apical = [corruption.name for corruption in change.corruptions(APICAL)]
    short_axis = [corruption.name for corruption in change.corruptions({View.SAX})]
    assert apical[0] == short_axis[0] == "none"
    assert len(set(apical)) == len(apical) and len(set(short_axis)) == len(short_axis)
    assert "turn_90" in short_axis and "turn_90" not in apical
    of_ultrasound = {"depth_-30dB", "sides_20", "upside_down", "gain_-12dB"}
    assert of_ultrasound <= set(apical) and not of_ultrasound & set(short_axis)
