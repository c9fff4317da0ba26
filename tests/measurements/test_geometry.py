"""Points, discs and lengths of one mask, and what must not change them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cardiolabel.domain import CAMUS_LABELS, LabelSet, Spacing
from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.geometry import DISC_COUNT, LVGeometry, measure_geometry
from cardiolabel.measurements.volume import single_plane_volume_ml

from .shapes import CAVITY_ONLY, HALF_MM, MM, Ventricle
from .strategies import spacings, ventricles

KINDS = pytest.mark.parametrize(
    ("labels", "neighbours"), [(CAMUS_LABELS, True), (CAVITY_ONLY, False)], ids=["wall", "cavity only"]
)


def volume_ml(geometry: LVGeometry) -> float:
    return single_plane_volume_ml(geometry.diameters, length_mm=geometry.length)


def by_column(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points[np.argsort(points[:, 1])]


@KINDS
@pytest.mark.parametrize("cut", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("rotation_deg", [-25.0, 0.0, 12.0])
@pytest.mark.parametrize("spacing", [Spacing(row_mm=0.3, col_mm=0.6), MM], ids=["0.3x0.6", "1x1"])
def test_hinges_and_apex_lie_where_the_shape_puts_them(
    spacing: Spacing, rotation_deg: float, cut: float, labels: LabelSet, neighbours: bool
) -> None:
    plane = Ventricle(semi_axis_mm=80 / (1 + cut), cut=cut, rotation_deg=rotation_deg, centre_mm=(90, 68))
    result = measure_geometry(plane.mask(spacing, neighbours=neighbours), spacing, labels=labels)
    scale = (spacing.row_mm, spacing.col_mm)
    base_mm = cut * plane.semi_axis_mm
    hinges = by_column(
        np.array([plane.point_px(base_mm, side * plane.half_base_mm, spacing) for side in (-1, 1)])
    )
    tolerance_mm = (1.5 if neighbours else 2.0) * math.hypot(*scale)
    assert np.abs((by_column(result.annulus_px) - hinges) * scale).max() < tolerance_mm
    apex = np.array(plane.point_px(-plane.semi_axis_mm, 0, spacing))
    # The tip is round: a pixel of height is several of width.
    assert np.linalg.norm((result.apex_px - apex) * scale) < 6 * max(scale)
    assert result.length == pytest.approx(plane.length_mm, abs=max(scale))
    assert result.annulus_tilt_deg < 4
    assert result.annulus_from_shape is not neighbours


@KINDS
@settings(max_examples=12)
@given(plane=ventricles, spacing=spacings, factor=st.floats(0.1, 8))
def test_spacing_scales_lengths_areas_and_volumes(
    labels: LabelSet, neighbours: bool, plane: Ventricle, spacing: Spacing, factor: float
) -> None:
    mask = plane.mask(spacing, neighbours=neighbours)
    each = measure_geometry(mask, spacing, labels=labels)
    other = measure_geometry(mask, Spacing(spacing.row_mm * factor, spacing.col_mm * factor), labels=labels)
    assert other.length == pytest.approx(each.length * factor)
    assert other.area == pytest.approx(each.area * factor**2)
    assert volume_ml(other) == pytest.approx(volume_ml(each) * factor**3)
    assert np.allclose(other.annulus_px, each.annulus_px)


TURNS = {
    "upside down": (np.flipud, False),
    "mirrored": (np.fliplr, False),
    "quarter turn": (np.rot90, True),
    "transposed": (np.transpose, True),
}


@KINDS
@pytest.mark.parametrize("turn", TURNS)
@settings(max_examples=6)
@given(plane=ventricles, spacing=spacings)
def test_flips_and_quarter_turns_change_no_number(
    turn: str, labels: LabelSet, neighbours: bool, plane: Ventricle, spacing: Spacing
) -> None:
    moved, swaps = TURNS[turn]
    mask = plane.mask(spacing, neighbours=neighbours)
    turned = np.ascontiguousarray(moved(mask))
    new_spacing = Spacing(spacing.col_mm, spacing.row_mm) if swaps else spacing
    each = measure_geometry(mask, spacing, labels=labels)
    other = measure_geometry(turned, new_spacing, labels=labels)
    # Mirrored apex points tie; from shape alone the contour is sampled from another start besides.
    tolerance = 2e-3 if neighbours else 0.012
    assert other.area == pytest.approx(each.area)
    assert other.length == pytest.approx(each.length, rel=tolerance)
    assert volume_ml(other) == pytest.approx(volume_ml(each), rel=tolerance)


@settings(max_examples=10)
@given(plane=ventricles, spacing=spacings)
def test_the_neighbours_and_the_shape_agree_on_the_base(plane: Ventricle, spacing: Spacing) -> None:
    from_wall = measure_geometry(plane.mask(spacing), spacing, labels=CAMUS_LABELS)
    from_shape = measure_geometry(plane.mask(spacing), spacing, labels=CAVITY_ONLY)
    assert from_shape.annulus_from_shape
    assert from_shape.length == pytest.approx(from_wall.length, rel=0.02)
    assert volume_ml(from_shape) == pytest.approx(volume_ml(from_wall), rel=0.03)


@KINDS
def test_discs_add_up_to_the_area(labels: LabelSet, neighbours: bool) -> None:
    mask = Ventricle(rotation_deg=14).mask(HALF_MM, neighbours=neighbours)
    result = measure_geometry(mask, HALF_MM, labels=labels)
    assert result.diameters.shape == (DISC_COUNT,)
    assert result.discs_px.shape == (DISC_COUNT, 2, 2)
    assert result.diameters.sum() * result.length / DISC_COUNT == pytest.approx(result.area, rel=0.01)
    chords_mm = np.linalg.norm(np.diff(result.discs_px, axis=1)[:, 0] * 0.5, axis=1)
    # A disc's mean width lies below its middle chord only in the apical discs.
    assert chords_mm[:-1] == pytest.approx(result.diameters[:-1], rel=0.02)
    assert (np.diff(result.diameters) < 0.5).all()  # from the base to the apex


def test_discs_of_an_ellipse_are_its_chords() -> None:
    plane = Ventricle(semi_axis_mm=80, radius_mm=24)
    spacing = Spacing(row_mm=0.2, col_mm=0.2)
    result = measure_geometry(plane.mask(spacing), spacing, labels=CAMUS_LABELS)
    middles = (np.arange(DISC_COUNT) + 0.5) / DISC_COUNT
    assert result.diameters[:-1] == pytest.approx(48 * np.sqrt(1 - middles[:-1] ** 2), abs=0.6)


def test_a_slanted_base_is_told_as_tilt() -> None:
    rows, cols = np.mgrid[:300, :300]
    slanted = 200 + (cols - 150) * math.tan(math.radians(25))
    mask = np.zeros((300, 300), np.uint8)
    mask[(((rows - 200) / 160) ** 2 + ((cols - 150) / 48) ** 2 <= 1) & (rows <= slanted)] = 1
    level = Ventricle().mask(MM, neighbours=False)
    assert measure_geometry(level, MM, labels=CAVITY_ONLY).annulus_tilt_deg < 3
    assert 15 < measure_geometry(mask, HALF_MM, labels=CAVITY_ONLY).annulus_tilt_deg < 35


def test_holes_belong_to_the_cavity_and_fragments_do_not() -> None:
    mask = Ventricle().mask(MM)
    whole = measure_geometry(mask, MM, labels=CAMUS_LABELS)
    holed = mask.copy()
    holed[70:75, 68:73] = 2  # a papillary muscle
    holed[5:9, 5:9] = 1
    result = measure_geometry(holed, MM, labels=CAMUS_LABELS)
    assert result.area == whole.area
    assert volume_ml(result) == pytest.approx(volume_ml(whole))
    assert result.fragment_count == 1
    assert result.fragment_share == pytest.approx(16 / (16 + whole.area - 25))
    assert whole.fragment_count == 0 and whole.fragment_share == 0


def test_without_spacing_shape_is_measured_in_pixels() -> None:
    mask = Ventricle().mask(MM)
    result, listed = (measure_geometry(mask, spacing, labels=CAMUS_LABELS) for spacing in (None, MM))
    assert not result.calibrated and listed.calibrated
    assert (result.area, result.length) == (listed.area, listed.length)


def test_the_result_does_not_depend_on_where_the_heart_lies() -> None:
    mask = Ventricle().mask(MM)
    moved = np.pad(mask, ((17, 0), (0, 23)))
    first, other = (measure_geometry(m, MM, labels=CAMUS_LABELS) for m in (mask, moved))
    assert volume_ml(first) == pytest.approx(volume_ml(other))
    assert other.apex_px == pytest.approx(first.apex_px + np.array([17, 0]))


def test_touching_the_border_is_noticed_on_every_side() -> None:
    mask = Ventricle().mask(MM)
    assert not measure_geometry(mask, MM, labels=CAMUS_LABELS).touches_border
    rows, cols = np.nonzero(mask == 1)
    sides = (mask[rows.min() :], mask[: rows.max() + 1], mask[:, cols.min() :], mask[:, : cols.max() + 1])
    for cropped in sides:
        assert measure_geometry(np.ascontiguousarray(cropped), MM, labels=CAMUS_LABELS).touches_border
    nearly = np.ascontiguousarray(mask[rows.min() - 1 :])
    assert not measure_geometry(nearly, MM, labels=CAMUS_LABELS).touches_border


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        ((), "the mask has no LV cavity"),
        (((5, 5),), "the LV cavity has only 1 pixels"),
        (tuple((row, 3) for row in range(11)), "the LV cavity has only 11 pixels"),
    ],
)
def test_what_has_no_shape_is_refused_with_the_reason(
    pixels: tuple[tuple[int, int], ...], reason: str
) -> None:
    mask = np.zeros((20, 20), np.uint8)
    for pixel in pixels:
        mask[pixel] = 1
    with pytest.raises(MeasurementError, match=reason):
        measure_geometry(mask, MM, labels=CAMUS_LABELS)


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 24), cols=st.integers(1, 24), share=st.floats(0, 1))
def test_any_mask_is_measured_or_refused(seed: int, rows: int, cols: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, 5, size=(rows, cols)).astype(np.uint8)
    mask[rng.random((rows, cols)) < share] = 1
    for spacing in (None, Spacing(row_mm=0.2, col_mm=1.1)):
        try:
            result = measure_geometry(mask, spacing, labels=CAMUS_LABELS)
        except MeasurementError as error:
            assert str(error)
            continue
        numbers = (result.area, result.length, result.annulus_tilt_deg, volume_ml(result))
        assert np.isfinite(numbers).all() and result.area > 0 and result.length > 0
        assert np.isfinite(result.diameters).all() and (result.diameters >= 0).all()


@settings(max_examples=15)
@given(plane=ventricles, grown=st.floats(1.02, 1.07))
def test_a_larger_ventricle_has_a_larger_volume(plane: Ventricle, grown: float) -> None:
    larger = replace(plane, semi_axis_mm=plane.semi_axis_mm * grown, radius_mm=plane.radius_mm * grown)
    small, large = (volume_ml(measure_geometry(p.mask(MM), MM, labels=CAMUS_LABELS)) for p in (plane, larger))
    assert large / small == pytest.approx(grown**3, rel=0.06)
