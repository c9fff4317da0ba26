"""One traced frame: order, mask, landmarks and EF, against analytic shapes and EchoNet's recipe."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.draw import polygon

from cardiolabel.datasets.echonet_tracing import tracing_from_rows
from cardiolabel.errors import DatasetError
from cardiolabel.measurements.traced_discs import traced_ef_pct

from .echonet_files import SHAPE, HalfEllipse

SHAPES = [HalfEllipse(), HalfEllipse(48.0, 44.0, -20.0), HalfEllipse(70.0, 30.0, 25.0, (95.0, 40.0))]


def as_echonet_fills_it(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The steps of echonet/dynamic's ``LargeTrace``: first ends down, second ends up, rounded, filled."""
    x = [row[0] for row in rows[1:]] + [row[2] for row in rows[:0:-1]]
    y = [row[1] for row in rows[1:]] + [row[3] for row in rows[:0:-1]]
    filled = np.zeros(SHAPE, bool)
    filled[polygon(np.rint(y).astype(int), np.rint(x).astype(int), SHAPE)] = True
    return filled


@pytest.mark.parametrize("shape", SHAPES)
def test_axis_and_diameters(shape: HalfEllipse) -> None:
    result = tracing_from_rows(shape.rows(), "a")
    np.testing.assert_allclose(result.axis_px, [shape.apex, shape.annulus])
    assert result.length_px == pytest.approx(shape.length)
    middles = 1 - (np.arange(20) + 0.5) / 20
    np.testing.assert_allclose(result.diameters_px, shape.diameter * np.sqrt(1 - middles**2))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_mask_is_echonet_s(shape: HalfEllipse) -> None:
    mask = tracing_from_rows(shape.rows(), "a").mask(SHAPE)
    np.testing.assert_array_equal(mask, as_echonet_fills_it(shape.rows()))
    cavity = shape.inside()
    assert 2 * (mask & cavity).sum() / (mask.sum() + cavity.sum()) > 0.96


@given(seed=st.integers(0, 10_000))
def test_order_and_ends_of_the_lines_do_not_matter(seed: int) -> None:
    rng, rows = np.random.default_rng(seed), HalfEllipse().rows()
    mixed = rows.copy()
    swapped = rng.random(21) < 0.5
    mixed[swapped] = mixed[swapped][:, [2, 3, 0, 1]]
    mixed[1:] = mixed[1 + rng.permutation(20)]
    expected, result = tracing_from_rows(rows, "a"), tracing_from_rows(mixed, "a")
    np.testing.assert_allclose(result.axis_px, expected.axis_px)
    np.testing.assert_allclose(result.chords_px, expected.chords_px)


def test_the_rows_are_left_as_they_are() -> None:
    rows = HalfEllipse().rows()[:, [2, 3, 0, 1]]
    before = rows.copy()
    tracing_from_rows(rows, "a")
    np.testing.assert_array_equal(rows, before)


@pytest.mark.parametrize("shape", SHAPES)
def test_landmarks_lie_on_the_ventricle(shape: HalfEllipse) -> None:
    points = tracing_from_rows(shape.rows(), "a").landmarks()
    np.testing.assert_allclose(points.point_px("apex"), shape.apex)
    for name, level, side in (
        ("annulus_left", 1, -1),
        ("basal_left", 2 / 3, -1),
        ("apical_left", 1 / 3, -1),
        ("annulus_right", 1, 1),
        ("basal_right", 2 / 3, 1),
        ("apical_right", 1 / 3, 1),
    ):
        expected = shape.wall(np.array([float(level)]), side)[0]
        assert np.linalg.norm(points.point_px(name) - expected) < 0.15, name


@pytest.mark.parametrize("shape", SHAPES)
def test_the_landmarks_mask_is_the_ventricle(shape: HalfEllipse) -> None:
    tracing = tracing_from_rows(shape.rows(), "a")
    mask, cavity = tracing.landmarks().mask(SHAPE), shape.inside()
    assert 2 * (mask & cavity).sum() / (mask.sum() + cavity.sum()) > 0.97
    assert mask.sum() == pytest.approx(np.pi / 4 * shape.diameter * shape.length, rel=0.03)


@pytest.mark.parametrize(("length", "diameter"), [(54.0, 27.0), (62.0, 30.0), (40.0, 40.0)])
def test_ef_of_half_ellipsoids(length: float, diameter: float) -> None:
    ed, es = HalfEllipse(), HalfEllipse(length, diameter)
    traced = [tracing_from_rows(shape.rows(), "a") for shape in (ed, es)]
    result = traced_ef_pct(
        traced[0].diameters_px,
        traced[1].diameters_px,
        ed_length=traced[0].length_px,
        es_length=traced[1].length_px,
    )
    assert result == pytest.approx(100 * (1 - es.volume / ed.volume), abs=0.05)


def crooked(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows[[5, *range(5), *range(6, 21)]]


def beyond(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = rows.copy()
    shifted[1:, [1, 3]] += 30
    return shifted


def without_length(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    changed = rows.copy()
    changed[0, 2:] = changed[0, :2]
    return changed


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (HalfEllipse().rows()[:15], "frame 46: 15 lines were traced, expected 21"),
        (np.vstack([HalfEllipse().rows()] * 2), "42 lines were traced"),
        (np.zeros((0, 4)), "0 lines were traced"),
        (without_length(HalfEllipse().rows()), "frame 46: its long axis has no length"),
        (np.full((21, 4), np.nan), "no length"),
        (crooked(HalfEllipse().rows()), "frame 46: its first line is no long axis"),
        (beyond(HalfEllipse().rows()), "no long axis"),
    ],
)
def test_what_is_no_tracing_is_refused(rows: NDArray[np.float64], says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        tracing_from_rows(rows, "frame 46")
