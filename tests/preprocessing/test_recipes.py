"""Preparing a frame and restoring its masks are inverse to each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional

from cardiolabel.domain import CAMUS_LABELS, LV_LABELS, Clip, Spacing
from cardiolabel.errors import ImageContentError
from cardiolabel.preprocessing.recipes import CAMUS, LANDMARKS, RECIPES, SAX, Output, Recipe

SIZES = [
    ((400, 300), Spacing(row_mm=0.3, col_mm=0.6)),
    ((120, 500), Spacing(row_mm=1.1, col_mm=0.3)),
    ((256, 256), Spacing(row_mm=0.5, col_mm=0.5)),
    ((97, 101), None),
]


def sector(shape: tuple[int, int], *, flipped: bool = False) -> NDArray[np.uint8]:
    """A picture that widens downwards, as an echo sector does."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    inside = np.abs(cols - shape[1] / 2) <= 2 + 0.45 * shape[1] * rows / shape[0]
    frame = np.where(inside, 60 + (7 * rows + 3 * cols) % 120, 0).astype(np.uint8)
    return np.flipud(frame).copy() if flipped else frame


def heart(shape: tuple[int, int]) -> NDArray[np.uint8]:
    rows, cols = np.mgrid[: shape[0], : shape[1]] / np.array(shape)[:, None, None]
    mask = np.zeros(shape, np.uint8)
    mask[((rows - 0.45) / 0.3) ** 2 + ((cols - 0.5) / 0.2) ** 2 < 1] = 2
    mask[((rows - 0.45) / 0.22) ** 2 + ((cols - 0.5) / 0.12) ** 2 < 1] = 1
    mask[((rows - 0.82) / 0.1) ** 2 + ((cols - 0.45) / 0.13) ** 2 < 1] = 3
    return mask


def one_hot(masks: NDArray[np.uint8]) -> torch.Tensor:
    return functional.one_hot(torch.from_numpy(masks).long(), 4).permute(0, 3, 1, 2).float()


def dice(one: NDArray[np.uint8], other: NDArray[np.uint8], value: int) -> float:
    a, b = one == value, other == value
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize("flipped", [False, True], ids=["upright", "upside down"])
@pytest.mark.parametrize(("shape", "spacing"), SIZES, ids=str)
def test_a_mask_returns_to_its_place(shape: tuple[int, int], spacing: Spacing | None, flipped: bool) -> None:
    clip = Clip(np.stack([sector(shape, flipped=flipped)] * 2), spacing)
    masks = np.stack([heart(shape)] * 2)
    place = CAMUS.placement(clip)
    assert place.flipped is flipped
    inside = CAMUS.masks(masks, place)
    assert inside.shape == (2, 256, 256) and inside.dtype == np.uint8
    back = (
        CAMUS.restore(one_hot(inside), place, (slice(0, shape[0]), slice(0, shape[1])))
        .argmax(1)
        .numpy()
        .astype(np.uint8)
    )
    assert back.shape == masks.shape
    for value in (1, 2, 3):
        assert dice(back, masks, value) > 0.98


def test_upside_down_input_is_turned_for_the_network() -> None:
    shape, spacing = SIZES[0]
    upright, turned = (Clip(sector(shape, flipped=f)[None], spacing) for f in (False, True))
    first, other = (CAMUS.frames(clip, CAMUS.placement(clip)) for clip in (upright, turned))
    assert np.array_equal(first, other)
    masks = heart(shape)[None]
    as_seen = CAMUS.masks(np.flip(masks, 1).copy(), CAMUS.placement(turned))
    assert np.array_equal(as_seen, CAMUS.masks(masks, CAMUS.placement(upright)))


def test_image_and_mask_land_on_the_same_pixels() -> None:
    shape, spacing = SIZES[0]
    mask = heart(shape)
    clip = Clip(np.where(mask == 1, 200, np.minimum(sector(shape), 90))[None].astype(np.uint8), spacing)
    place = CAMUS.placement(clip)
    frame, inside = CAMUS.frames(clip, place)[0, 0], CAMUS.masks(mask[None], place)[0]
    bright = (frame > 0.75).astype(np.uint8)
    assert dice(bright, (inside == 1).astype(np.uint8), 1) > 0.98


def test_physical_aspect_is_kept_and_the_rest_is_padding() -> None:
    clip = Clip(np.full((1, 400, 300), 9, np.uint8), Spacing(row_mm=0.3, col_mm=0.6))  # 120 x 180 mm
    place = CAMUS.placement(clip)
    assert (place.inner_rows, place.inner_cols) == (171, 256)
    assert (place.top, place.left) == (42, 0)
    circle = np.hypot(*((np.mgrid[:400, :300] - np.array([199.5, 149.5])[:, None, None]).T * (0.3, 0.6)).T)
    inside = CAMUS.masks((circle < 40).astype(np.uint8)[None], place)[0]
    rows, cols = np.nonzero(inside)
    assert np.ptp(rows) == pytest.approx(np.ptp(cols), abs=1)


def test_grey_values_do_not_depend_on_offset_gain_or_type() -> None:
    shape, spacing = SIZES[2]
    frame = sector(shape)[None]
    kinds = [
        frame,
        frame.astype(np.int16) - 1000,
        frame.astype(np.float32) / 255,
        frame.astype(np.float64) + 1e5,
        frame.astype(np.float64) + 1e9,
        frame.astype(np.uint16) * 200,
        frame.astype(np.float64) * 1e-9,
        frame.astype(np.float64) * 1e12,
    ]
    clips = [Clip(kind, spacing) for kind in kinds]
    result = [CAMUS.frames(clip, CAMUS.placement(clip)) for clip in clips]
    for other in result[1:]:
        assert np.abs(other - result[0]).max() < 0.02
    assert result[0].min() == 0 and 1 <= result[0].max() < 1.5


def test_a_bright_annotation_does_not_darken_the_tissue() -> None:
    shape, spacing = SIZES[2]
    frame = sector(shape).astype(np.int16)
    plain = Clip(frame[None], spacing)
    marked = frame.copy()
    marked[:10, :10] = 3000
    clip = Clip(marked[None], spacing)
    first, other = (CAMUS.frames(c, CAMUS.placement(c))[0, 0] for c in (plain, clip))
    assert np.abs(first[30:] - other[30:]).max() < 0.1


@pytest.mark.parametrize("value", [0, 7, -4.5])
def test_constant_frames_become_zeros(value: float) -> None:
    clip = Clip(np.full((3, 40, 50), value), None)
    place = CAMUS.placement(clip)
    assert not place.flipped
    assert not CAMUS.frames(clip, place).any()


def test_a_lone_bright_pixel_does_not_overflow() -> None:
    pixels = np.zeros((1, 300, 300), np.uint8)
    pixels[0, 150, 150] = 255
    clip = Clip(pixels, None)
    assert CAMUS.frames(clip, CAMUS.placement(clip)).max() == pytest.approx(1)


@settings(max_examples=25)
@given(
    rows=st.integers(1, 40),
    cols=st.integers(1, 40),
    frames=st.integers(1, 3),
    spacing=st.one_of(st.none(), st.builds(Spacing, row_mm=st.floats(0.01, 20), col_mm=st.floats(0.01, 20))),
)
def test_any_size_goes_in_and_comes_back(rows: int, cols: int, frames: int, spacing: Spacing | None) -> None:
    rng = np.random.default_rng(rows * 100 + cols)
    clip = Clip(rng.integers(0, 255, size=(frames, rows, cols)).astype(np.uint8), spacing)
    place = CAMUS.placement(clip)
    result = CAMUS.frames(clip, place)
    assert result.shape == (frames, 1, 256, 256) and np.isfinite(result).all() and result.min() >= 0
    assert max(place.inner_rows, place.inner_cols) == 256
    whole = slice(0, rows), slice(0, cols)
    assert CAMUS.restore(torch.zeros(frames, 4, 256, 256), place, whole).shape == (frames, 4, rows, cols)
    assert not clip.pixels.flags.writeable


def test_recipes_are_found_by_the_name_that_a_card_stores() -> None:
    assert RECIPES[CAMUS.name] is CAMUS
    assert CAMUS.labels is CAMUS_LABELS


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("flipped", [False, True], ids=["upright", "upside down"])
@pytest.mark.parametrize(("shape", "spacing"), SIZES, ids=str)
def test_points_and_pixels_land_in_the_same_place(
    shape: tuple[int, int], spacing: Spacing | None, flipped: bool, recipe: Recipe
) -> None:
    clip = Clip(sector(shape, flipped=flipped)[None], spacing)
    place = recipe.placement(clip)
    assert place.flipped is (flipped and recipe.sector)
    point = np.array([0.45 * shape[0], 0.55 * shape[1]])
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    radius = 0.08 * min(shape)
    dot = (np.hypot(rows - point[0], cols - point[1]) < radius).astype(np.uint8) * recipe.values[1]
    centre = np.argwhere(recipe.masks(dot[None], place)[0] == 1).mean(axis=0)
    np.testing.assert_allclose(place.to_input(point), centre, atol=0.4)
    points = np.array([point, [0, 0], [-3.5, 7]])
    np.testing.assert_allclose(place.to_frame(place.to_input(points)), points, atol=1e-9)


def test_landmarks_share_the_input_of_camus() -> None:
    assert replace(LANDMARKS, name=CAMUS.name, labels=CAMUS.labels, output=CAMUS.output) == CAMUS
    assert (LANDMARKS.labels, LANDMARKS.output, LANDMARKS.channels) == (LV_LABELS, Output.LANDMARKS, 7)
    assert (CAMUS.output, CAMUS.channels) == (Output.CLASSES, 4)


def test_pixels_of_a_metre_are_refused() -> None:
    clip = Clip(np.zeros((1, 256, 256), np.uint8), Spacing(row_mm=1400.0, col_mm=1400.0))
    with pytest.raises(ImageContentError, match="check the unit and the pixel size"):
        SAX.placement(clip)
    assert CAMUS.placement(clip).inner_rows == CAMUS.size_px  # fitted, whatever its size
