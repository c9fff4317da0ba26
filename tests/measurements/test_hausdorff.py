"""Hausdorff distance against closed forms and another implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import directed_hausdorff

from cardiolabel.domain import CAMUS_LABELS, Spacing
from cardiolabel.errors import ImageContentError, MeasurementError
from cardiolabel.measurements.hausdorff import hausdorff_mm
from cardiolabel.measurements.structures import structure_values

from .shapes import MM, Ventricle, rectangle
from .strategies import spacings, ventricles

OBLONG = Spacing(row_mm=0.3, col_mm=0.7)
CAVITY = (1,)


def disc(row_mm: float, col_mm: float, radius_mm: float, spacing: Spacing) -> NDArray[np.uint8]:
    rows, cols = np.mgrid[:200, :200]
    away_mm = np.hypot(rows * spacing.row_mm - row_mm, cols * spacing.col_mm - col_mm)
    return (away_mm <= radius_mm).astype(np.uint8)


def boundary_mm(mask: NDArray[np.uint8], values: tuple[int, ...], spacing: Spacing) -> NDArray[np.float64]:
    """Centres of the pixels with one of four neighbours outside, found pixel by pixel."""
    inside = set(map(tuple, np.argwhere(np.isin(mask, values)).tolist()))
    result = [
        (row, col)
        for row, col in sorted(inside)
        if not {(row + 1, col), (row - 1, col), (row, col + 1), (row, col - 1)} <= inside
    ]
    return np.array(result) * (spacing.row_mm, spacing.col_mm)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (7, 0), (0, -4), (3, 4)])
def test_a_shifted_rectangle_is_as_far_as_its_corner_moved(down: int, right: int) -> None:
    result = hausdorff_mm(rectangle(20, 20), rectangle(20 + down, 20 + right), CAVITY, spacing=OBLONG)
    assert result == pytest.approx(math.hypot(down * OBLONG.row_mm, right * OBLONG.col_mm))


@pytest.mark.parametrize("spacing", [MM, Spacing(0.5, 0.8), Spacing(0.8, 0.45)])
@pytest.mark.parametrize(("shift_mm", "growth_mm"), [(6.0, 0.0), (0.0, 5.0), (4.0, 3.0)])
def test_a_shifted_and_grown_circle(shift_mm: float, growth_mm: float, spacing: Spacing) -> None:
    ours = disc(45, 45, 20, spacing)
    theirs = disc(45, 45 + shift_mm, 20 + growth_mm, spacing)
    result = hausdorff_mm(ours, theirs, CAVITY, spacing=spacing)
    assert result == pytest.approx(shift_mm + growth_mm, abs=1.5 * max(spacing.row_mm, spacing.col_mm))


def test_one_side_may_be_near_while_the_other_is_far() -> None:
    far = rectangle(5, 5)
    far[70, 80] = 1  # a stray pixel counts in full
    assert hausdorff_mm(rectangle(5, 5), far, CAVITY, spacing=MM) == pytest.approx(math.hypot(46, 46))
    assert hausdorff_mm(far, rectangle(5, 5), CAVITY, spacing=MM) == pytest.approx(math.hypot(46, 46))


def test_a_hole_has_a_boundary() -> None:
    hollow = rectangle(20, 20, height=31, width=31)
    hollow[34:37, 34:37] = 0
    whole = rectangle(20, 20, height=31, width=31)
    assert hausdorff_mm(hollow, whole, CAVITY, spacing=MM) == 13


def test_a_structure_at_the_images_edge() -> None:
    mask = np.ones((6, 9), np.uint8)
    each = np.zeros((6, 9), np.uint8)
    each[0, 0] = 1
    assert hausdorff_mm(mask, each, CAVITY, spacing=OBLONG) == pytest.approx(math.hypot(5 * 0.3, 8 * 0.7))


@pytest.mark.parametrize("values", structure_values(CAMUS_LABELS).values(), ids=str)
@settings(max_examples=8)
@given(ours=ventricles, theirs=ventricles, spacing=spacings)
def test_another_implementation_agrees(
    values: tuple[int, ...], ours: Ventricle, theirs: Ventricle, spacing: Spacing
) -> None:
    coarse = Spacing(3 * spacing.row_mm, 3 * spacing.col_mm)
    first, other = ours.mask(coarse), theirs.mask(coarse)
    result = hausdorff_mm(first, other, values, spacing=coarse)
    edges = boundary_mm(first, values, coarse), boundary_mm(other, values, coarse)
    pointwise = max(directed_hausdorff(*edges)[0], directed_hausdorff(*edges[::-1])[0])
    assert result == pytest.approx(pointwise)


@settings(max_examples=30)
@given(ours=ventricles, theirs=ventricles, spacing=spacings, factor=st.floats(0.1, 8))
def test_spacing_scales_the_distance_and_swapping_changes_nothing(
    ours: Ventricle, theirs: Ventricle, spacing: Spacing, factor: float
) -> None:
    first, other = ours.mask(MM), theirs.mask(MM)
    result = hausdorff_mm(first, other, CAVITY, spacing=spacing)
    scaled = Spacing(spacing.row_mm * factor, spacing.col_mm * factor)
    assert hausdorff_mm(first, other, CAVITY, spacing=scaled) == pytest.approx(factor * result)
    assert hausdorff_mm(other, first, CAVITY, spacing=spacing) == result
    assert hausdorff_mm(first, first, CAVITY, spacing=spacing) == 0
    assert hausdorff_mm(first.T, other.T, CAVITY, spacing=Spacing(spacing.col_mm, spacing.row_mm)) == (
        pytest.approx(result)
    )


def test_no_distance_has_a_reason() -> None:
    drawn, empty = rectangle(5, 5), np.zeros((80, 90), np.uint8)
    with pytest.raises(MeasurementError, match=r"^the file carries no pixel spacing$"):
        hausdorff_mm(drawn, drawn, CAVITY, spacing=None)
    for masks, who in (
        ((empty, drawn), "the first mask"),
        ((drawn, empty), "the second mask"),
        ((empty, empty), "the first and the second mask"),
    ):
        with pytest.raises(MeasurementError, match=f"^{who} does not have the structure$"):
            hausdorff_mm(*masks, CAVITY, spacing=MM)


def test_a_distance_is_of_one_frame() -> None:
    with pytest.raises(ImageContentError, match=r"\(H, W\)"):
        hausdorff_mm(rectangle(5, 5)[None], rectangle(5, 5)[None], CAVITY, spacing=MM)
