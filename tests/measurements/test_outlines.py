"""Outlines: what is traced from a mask fills the same mask again, and drawn structures never overlap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cardiolabel.datasets.phantom import make_study
from cardiolabel.domain import ACDC_LABELS, CAMUS_LABELS, Spacing
from cardiolabel.errors import ImageContentError
from cardiolabel.geometry.polygon import polygon_area
from cardiolabel.measurements.outlines import fill_outlines, trace_outlines


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    rows, cols = np.indices(shape)
    return np.asarray(np.hypot(rows - centre[0], cols - centre[1]) <= radius)


@pytest.fixture(scope="module")
def mask() -> NDArray[np.uint8]:
    study = make_study("p1", seed=1, shape=(256, 320), spacing=Spacing(0.58, 0.58), cine=False)
    return np.asarray(study.images[0].masks[0])


def test_traced_outlines_fill_the_mask_that_they_were_traced_from(mask: NDArray[np.uint8]) -> None:
    outlines = trace_outlines(mask, CAMUS_LABELS)
    assert set(outlines) == {"lv_cavity", "myocardium", "left_atrium"}
    filled = fill_outlines(np.zeros_like(mask), outlines, CAMUS_LABELS)
    assert (filled != mask).mean() < 0.001


def test_an_outline_has_the_area_of_its_pixels(mask: NDArray[np.uint8]) -> None:
    (outline,) = trace_outlines(mask, CAMUS_LABELS)["lv_cavity"]
    assert polygon_area(outline) == pytest.approx((mask == 1).sum(), rel=0.01)


def test_structures_that_are_not_drawn_stay_pixel_by_pixel(mask: NDArray[np.uint8]) -> None:
    outline = trace_outlines(mask, CAMUS_LABELS)["left_atrium"][0]
    drawn = fill_outlines(mask, {"left_atrium": [outline + np.array([3.0, 0.0])]}, CAMUS_LABELS)
    for value in (1, 2):
        np.testing.assert_array_equal(drawn == value, mask == value)
    assert ((drawn == 3) != (mask == 3)).any()


@given(rows=st.floats(-12, 12), cols=st.floats(-12, 12), radius=st.floats(6, 24))
def test_cavity_and_wall_never_cross(rows: float, cols: float, radius: float) -> None:
    shape = (80, 80)
    wall = np.where(disc(shape, (40, 40), 20), 2, 0).astype(np.uint8)
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    outline = np.stack([40 + rows + radius * np.sin(angles), 40 + cols + radius * np.cos(angles)], 1)
    drawn = fill_outlines(wall, {"lv_cavity": [outline]}, CAMUS_LABELS)
    np.testing.assert_allclose((drawn == 1).sum(), np.pi * radius**2, rtol=0.1, atol=20)
    np.testing.assert_array_equal(drawn == 2, (wall == 2) & (drawn != 1))


def test_a_smaller_cavity_leaves_its_rim_to_the_wall(mask: NDArray[np.uint8]) -> None:
    outline = trace_outlines(mask, CAMUS_LABELS)["lv_cavity"][0]
    smaller = outline.mean(axis=0) + 0.8 * (outline - outline.mean(axis=0))
    drawn = fill_outlines(mask, {"lv_cavity": [smaller]}, CAMUS_LABELS)
    assert (drawn == 1).sum() < 0.7 * (mask == 1).sum()
    np.testing.assert_array_equal((drawn == 1) | (drawn == 2), (mask == 1) | (mask == 2))


def test_no_outline_removes_a_structure(mask: NDArray[np.uint8]) -> None:
    drawn = fill_outlines(mask, {"left_atrium": []}, CAMUS_LABELS)
    assert not (drawn == 3).any() and (drawn == 1).sum() == (mask == 1).sum()


def test_values_are_those_of_the_label_set() -> None:
    square = np.array([[10.0, 10.0], [10.0, 30.0], [30.0, 30.0], [30.0, 10.0]])
    drawn = fill_outlines(np.zeros((40, 40), np.uint8), {"lv_cavity": [square]}, ACDC_LABELS)
    assert set(np.unique(drawn)) == {0, ACDC_LABELS.value("lv_cavity")}


def test_outlines_beyond_the_image_are_cut_off() -> None:
    square = np.array([[-50.0, -50.0], [-50.0, 20.5], [20.5, 20.5], [20.5, -50.0]])
    drawn = fill_outlines(np.zeros((40, 40), np.uint8), {"lv_cavity": [square]}, CAMUS_LABELS)
    assert (drawn == 1).sum() == 21 * 21


@pytest.mark.parametrize(
    ("outlines", "message"),
    [
        ({"aorta": [np.zeros((4, 2))]}, "no structure 'aorta'"),
        ({"lv_cavity": [np.zeros((4, 3))]}, "finite points"),
        ({"lv_cavity": [np.full((4, 2), np.nan)]}, "finite points"),
    ],
)
def test_impossible_outlines_are_refused(
    outlines: dict[str, list[NDArray[np.float64]]], message: str
) -> None:
    with pytest.raises(ImageContentError, match=message):
        fill_outlines(np.zeros((8, 8), np.uint8), outlines, CAMUS_LABELS)
