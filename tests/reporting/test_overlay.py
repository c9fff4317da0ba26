"""Pictures of images with their masks: what they show, and how small they are."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cardiolabel.domain import ACDC_LABELS, CAMUS_LABELS, Clip, Phase, Spacing, View
from cardiolabel.measurements.records import MaskedImage
from cardiolabel.measurements.study import measure_study
from cardiolabel.reporting.canvas import shortened, text_width, wrapped
from cardiolabel.reporting.overlay import overlay_png, shown_frames
from cardiolabel.reporting.theme import INK, STRUCTURE_COLORS

SPACING = Spacing(row_mm=0.5, col_mm=1.0)


def masked(masks: NDArray[np.uint8], view: View = View.A4C, phase: Phase = Phase.ED) -> MaskedImage:
    stack = view is View.SAX
    return MaskedImage(
        "image",
        "p",
        view,
        phase,
        masks,
        SPACING,
        ACDC_LABELS if stack else CAMUS_LABELS,
        slice_spacing_mm=8.0 if stack else None,
    )


def square(low: int, high: int, *, frames: int = 1, value: int = 1) -> NDArray[np.uint8]:
    masks = np.zeros((frames, 100, 100), np.uint8)
    masks[:, low:high, low:high] = value
    return masks


def drawn(image: MaskedImage, clip: Clip | None = None) -> tuple[NDArray[np.uint8], int]:
    """The picture's colours (H, W, 3), and the size of its file in bytes."""
    clip = clip or Clip(np.zeros(image.masks.shape, np.uint8), image.spacing)
    png = overlay_png(clip, image, measure_study([image]))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")), len(png)


def where(picture: NDArray[np.uint8], color: str) -> NDArray[np.intp]:
    """Points (N, 2) of a colour."""
    return np.argwhere((picture == tuple(bytes.fromhex(color[1:]))).all(axis=2))


def contour(picture: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Points of the cavity's contour, without the legend below."""
    result = where(picture, STRUCTURE_COLORS["lv_cavity"])
    return result[result[:, 0] < picture.shape[0] - 60]


def test_a_contour_lies_where_its_mask_is_and_pixels_are_square_in_mm() -> None:
    # 100 x 100 pixels of 0.5 x 1 mm: the picture is half as high as it is wide, 430 px for 100 mm.
    picture, _ = drawn(masked(square(20, 60)))
    points = contour(picture)
    low, high = points.min(axis=0), points.max(axis=0)
    assert low == pytest.approx([24 + 20 * 2.15, 6 + 20 * 4.3], abs=2)
    assert high == pytest.approx([24 + 60 * 2.15, 6 + 60 * 4.3], abs=2)


def test_every_structure_has_its_colour_and_those_that_are_not_there_have_none() -> None:
    masks = square(20, 60)
    masks[:, 65:80, 20:60] = 3
    picture, _ = drawn(masked(masks))
    assert len(where(picture, STRUCTURE_COLORS["left_atrium"])) > 100
    assert not len(where(picture, STRUCTURE_COLORS["myocardium"]))


def test_an_empty_mask_is_a_picture_with_a_reason_and_without_lines() -> None:
    picture, _ = drawn(masked(square(0, 0)))
    assert not len(where(picture, STRUCTURE_COLORS["lv_cavity"]))
    captioned, _ = drawn(masked(square(20, 60)))
    assert picture.shape == captioned.shape


def test_a_cine_shows_ed_and_es_of_its_first_beat() -> None:
    areas = (20, 16, 12, 8, 12, 16, 20)
    masks = np.concatenate([square(40 - half, 40 + half) for half in areas])
    cine = replace(masked(masks, phase=Phase.CINE), ed_frame=1, es_frame=4)
    assert shown_frames(cine, measure_study([cine])) == {0: "ED, frame 0", 3: "ES, frame 3"}
    unknown = masked(masks[1:5], view=View.UNKNOWN, phase=Phase.CINE)
    assert shown_frames(unknown, measure_study([unknown])) == {
        0: "largest cavity, frame 0",
        2: "smallest cavity, frame 2",
    }
    empty = masked(square(0, 0, frames=3), phase=Phase.CINE)
    assert shown_frames(empty, measure_study([empty])) == {0: "frame 0"}


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (9, 9), (16, 16), (17, 16), (40, 16)])
def test_of_a_stack_at_most_16_slices_are_shown_from_first_to_last(count: int, shown: int) -> None:
    stack = masked(square(40, 60, frames=count, value=3), view=View.SAX)
    frames = list(shown_frames(stack, measure_study([stack])))
    assert len(frames) == shown and (frames[0], frames[-1]) == (0, count - 1)
    assert frames == sorted(set(frames))


def test_a_stack_is_cropped_around_its_masks() -> None:
    # 20 columns of 1 mm and as much again around: 40 mm in tiles of 130 px.
    picture, _ = drawn(masked(square(40, 60, value=3), view=View.SAX))
    points = where(picture, STRUCTURE_COLORS["lv_cavity"])
    points = points[points[:, 0] < 24 + 65]
    assert np.ptp(points[:, 1]) == pytest.approx(20 / 40 * 130, abs=3)


@pytest.mark.parametrize("view", [View.A4C, View.SAX])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_noise_at_its_worst_stays_a_small_file(view: View, dtype: type) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 256, 256)).astype(dtype)
    masks = np.ones(noise.shape, np.uint8)
    _, size = drawn(masked(masks, view=view, phase=Phase.CINE), Clip(noise, SPACING))
    assert size < 160_000


def test_grey_values_of_any_type_use_the_whole_scale() -> None:
    ramp = np.broadcast_to(np.linspace(-3000, 9000, 100, dtype=np.float32), (1, 100, 100))
    picture, _ = drawn(masked(square(20, 40)), Clip(ramp, SPACING))
    line = picture[24 + 150, 6:436, 0]
    assert line[0] < 16 and line[-1] > 240 and (np.diff(line.astype(int)) >= 0).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 400), (1, 400, 1)])
def test_odd_shapes_are_drawn(shape: tuple[int, int, int]) -> None:
    picture, _ = drawn(masked(np.ones(shape, np.uint8)))
    assert min(picture.shape[:2]) > 40


def test_uncalibrated_images_are_drawn_in_pixels() -> None:
    image = replace(masked(square(20, 60)), spacing=None)
    points = contour(drawn(image)[0])
    assert np.ptp(points, axis=0) == pytest.approx([40 * 4.3] * 2, abs=3)


def test_a_clip_of_another_shape_is_refused() -> None:
    image = masked(square(20, 60))
    with pytest.raises(ValueError, match="masks"):
        overlay_png(Clip(np.zeros((2, 9, 9), np.uint8), SPACING), image, measure_study([image]))


def test_the_long_axis_is_drawn_where_there_is_one() -> None:
    picture, _ = drawn(masked(square(20, 60)))
    inside = where(picture[60:140, 120:220], INK)
    assert len(inside) > 20


def test_text_fits_its_room() -> None:
    name = "a rather\nlong image name " * 9
    assert text_width(shortened(name, 120, size=13), size=13) <= 120 and shortened("é", 40, size=13) == "é"
    lines = wrapped(name, 130, size=9, lines=2)
    assert len(lines) == 2 and lines[-1].endswith("…")
    assert all(text_width(line, size=9) <= 130 for line in lines)
