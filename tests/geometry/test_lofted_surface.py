"""A surface through contours: closed, oriented, and of the volume that its shape has."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cardiolabel.geometry.lofted_surface import LoftedSurface, lofted_surface


def ellipse(
    a: float, b: float, *, start: float = 0.0, clockwise: bool = False, n: int = 200
) -> NDArray[np.float64]:
    angles = start + np.linspace(0, 2 * math.pi, n, endpoint=False) * (-1 if clockwise else 1)
    return np.column_stack([30 + a * np.cos(angles), 40 + b * np.sin(angles)])


def volume(surface: LoftedSurface) -> float:
    """By the divergence theorem; positive where triangles are counter-clockwise from outside."""
    a, b, c = (surface.vertices_mm[surface.triangles[:, corner]] for corner in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def is_closed(surface: LoftedSurface) -> bool:
    edges = Counter(
        (int(first), int(other))
        for triangle in surface.triangles
        for first, other in zip(triangle, np.roll(triangle, -1), strict=True)
    )
    return all(count == 1 and edges[other, first] == 1 for (first, other), count in edges.items())


def test_a_cylinder_has_its_volume() -> None:
    surface = lofted_surface([ellipse(20, 15)] * 9, [8.0 * k for k in range(9)])
    assert is_closed(surface)
    assert volume(surface) == pytest.approx(math.pi * 20 * 15 * 64, rel=0.005)


def test_half_an_ellipsoid_has_its_volume() -> None:
    heights = np.linspace(0, 59.9, 60)
    surface = lofted_surface(
        [ellipse(25 * (s := math.sqrt(1 - (z / 60) ** 2)), 25 * s) for z in heights], heights.tolist()
    )
    assert is_closed(surface)
    assert volume(surface) == pytest.approx(2 / 3 * math.pi * 25 * 25 * 60, rel=0.01)


def test_a_slice_without_contour_is_spanned_and_named() -> None:
    contours = [None, ellipse(20, 20), None, ellipse(10, 10), None]
    surface = lofted_surface(contours, [0, 10, 20, 30, 40])
    assert surface.spanned == (2,) and is_closed(surface)
    assert volume(surface) == pytest.approx(math.pi / 3 * 20 * (400 + 200 + 100), rel=0.01)


@given(start=st.floats(0, 6.28), clockwise=st.booleans(), closed=st.booleans())
def test_neither_start_nor_direction_of_a_contour_twists_the_surface(
    start: float, clockwise: bool, closed: bool
) -> None:
    other = ellipse(20, 15, start=start, clockwise=clockwise)
    if closed:
        other = np.vstack([other, other[:1]])
    surface = lofted_surface([ellipse(20, 15), other], [0, 8])
    assert is_closed(surface)
    assert volume(surface) == pytest.approx(math.pi * 20 * 15 * 8, rel=0.01)


def test_one_contour_makes_no_surface() -> None:
    with pytest.raises(ValueError, match="at least two"):
        lofted_surface([ellipse(20, 20), None], [0, 8])
