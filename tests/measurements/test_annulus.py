"""Hinge points from neighbours and from shape; ellipsoids cut by the picture, and walls that nobody drew."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cardiolabel.domain import CAMUS_LABELS, Spacing
from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.annulus import find_hinges, hinges_from_neighbours
from cardiolabel.measurements.flat_side import hinges_from_shape
from cardiolabel.measurements.geometry import LVGeometry, measure_geometry
from cardiolabel.measurements.volume import single_plane_volume_ml

from .shapes import CAVITY_ONLY, HALF_MM

WALL, ATRIUM, BEYOND = 2, 3, -1


def rectangle(height: int = 40, width: int = 20) -> NDArray[np.float64]:
    """A closed contour in steps of 1 mm, from the top left corner clockwise."""
    top = [(0, col) for col in range(width)]
    right = [(row, width) for row in range(height)]
    bottom = [(height, col) for col in range(width, 0, -1)]
    left = [(row, 0) for row in range(height, 0, -1)]
    return np.array(top + right + bottom + left, dtype=np.float64)


def ends(contour: NDArray[np.float64], hinges: tuple[int, int] | None) -> NDArray[np.float64]:
    assert hinges is not None
    return contour[list(hinges)][np.argsort(contour[list(hinges)][:, 1])]


def outside(contour: NDArray[np.float64], *, base: int = ATRIUM) -> NDArray[np.int16]:
    return np.where(contour[:, 0] == 40, base, WALL).astype(np.int16)


@pytest.mark.parametrize("start", [0, 35, 70, 110])
def test_the_wall_lets_go_at_the_corners_wherever_the_contour_starts(start: int) -> None:
    contour = np.roll(rectangle(), -start, axis=0)
    result = hinges_from_neighbours(contour, outside(contour), myocardium=WALL, atrium=ATRIUM)
    assert np.abs(ends(contour, result) - [(40, 0), (40, 20)]).max() <= 1


def test_a_gap_in_the_wall_is_not_the_base() -> None:
    contour = rectangle()
    values = outside(contour)
    values[(contour[:, 1] == 0) & (contour[:, 0] > 10) & (contour[:, 0] < 13)] = 0
    result = hinges_from_neighbours(contour, values, myocardium=WALL, atrium=ATRIUM)
    assert np.abs(ends(contour, result) - [(40, 0), (40, 20)]).max() <= 1


def test_the_atrium_decides_between_two_openings() -> None:
    contour = rectangle()
    values = outside(contour)
    values[(contour[:, 1] == 0) & (contour[:, 0] > 5) & (contour[:, 0] < 35)] = 0  # longer than the base
    result = hinges_from_neighbours(contour, values, myocardium=WALL, atrium=ATRIUM)
    assert np.abs(ends(contour, result) - [(40, 0), (40, 20)]).max() <= 1


def test_without_an_atrium_the_opening_across_the_axis_is_the_base() -> None:
    contour = rectangle()
    values = outside(contour, base=0)
    values[(contour[:, 1] == 0) & (contour[:, 0] > 5) & (contour[:, 0] < 35)] = 0  # longer than the base
    result = hinges_from_neighbours(contour, values, myocardium=WALL, atrium=None)
    assert np.abs(ends(contour, result) - [(40, 0), (40, 20)]).max() <= 1


@pytest.mark.parametrize("atrium", [ATRIUM, None])
@pytest.mark.parametrize("beside", [BEYOND, 0], ids=["border", "undrawn wall"])
@pytest.mark.parametrize("open_mm", [4, 15, 40])
def test_neither_the_border_nor_an_undrawn_wall_lengthens_the_base(
    open_mm: int, beside: int, atrium: int | None
) -> None:
    contour = rectangle()
    values = outside(contour, base=ATRIUM if atrium else 0)
    values[(contour[:, 1] == 20) & (contour[:, 0] < 40) & (contour[:, 0] >= 40 - open_mm)] = beside
    result, _ = find_hinges(contour, values, myocardium=WALL, atrium=atrium)
    assert np.abs(ends(contour, result) - [(40, 0), (40, 20)]).max() <= 1


def test_a_narrow_atrium_does_not_shorten_the_base() -> None:
    contour = rectangle()
    values = outside(contour)
    values[(contour[:, 0] == 40) & ((contour[:, 1] < 5) | (contour[:, 1] > 12))] = 0
    for wall in (WALL, None):
        result = hinges_from_neighbours(contour, values, myocardium=wall, atrium=ATRIUM)
        assert np.abs(ends(contour, result) - [(40, 0), (40, 20)]).max() <= 1


def test_a_speck_of_atrium_elsewhere_is_no_base() -> None:
    contour = rectangle()
    values = outside(contour)
    values[(contour[:, 1] == 0) & (contour[:, 0] > 8) & (contour[:, 0] < 11)] = ATRIUM
    result = hinges_from_neighbours(contour, values, myocardium=WALL, atrium=ATRIUM)
    assert np.abs(ends(contour, result) - [(40, 0), (40, 20)]).max() <= 1


@pytest.mark.parametrize("values", [0, WALL], ids=["no wall", "wall all round"])
def test_neighbours_that_do_not_tell(values: int) -> None:
    contour = rectangle()
    around = np.full(len(contour), values, np.int16)
    assert hinges_from_neighbours(contour, around, myocardium=WALL, atrium=ATRIUM) is None


@pytest.mark.parametrize("start", [0, 50, 100])
def test_the_flat_end_across_the_axis_is_the_base(start: int) -> None:
    turn = np.linspace(np.pi, 0, 200)
    dome = np.stack([40 - 40 * np.sin(turn), 12 * np.cos(turn)], axis=1)
    base = np.stack([np.full(48, 40.0), np.linspace(12, -12, 50)[1:-1]], axis=1)
    contour = np.roll(np.concatenate([dome, base]), -start, axis=0)
    result = ends(contour, hinges_from_shape(contour))
    assert np.abs(result - [(40, -12), (40, 12)]).max() < 1.5


def test_a_round_cavity_still_gives_an_answer_or_a_reason() -> None:
    turn = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    circle = np.stack([np.sin(turn), np.cos(turn)], axis=1) * 20
    try:
        first, last = hinges_from_shape(circle)
    except MeasurementError as error:
        assert "flat side" in str(error)
    else:
        assert first != last


@dataclass(frozen=True)
class Drawing:
    """An ellipsoid cut at its base in a picture that may cut it too, and what was drawn around it.

    ``length_mm`` from the base to the apex, semi-axes ``semi_axis_mm`` along and ``radius_mm`` across. The
    picture ends ``cut_mm`` within the ED cavity on ``side``. ``atrium`` is its width as a share of the
    base's; 0 draws none. ``gap_mm`` parts atrium and cavity. ``undrawn`` leaves out a part of the wall.
    """

    rotation_deg: float = 0.0
    spacing: Spacing = HALF_MM
    side: str = "left"
    cut_mm: float = 0.0
    atrium: float = 1.0
    gap_mm: float = 0.0
    undrawn: str = ""

    def masks(self) -> list[tuple[NDArray[np.uint8], float]]:
        """ED and ES with the true volume in ml of the discs along the known axis."""
        ed, _ = self._drawn(80.0, 50.0, 24.0)
        rows, cols = np.nonzero(ed == 1)
        low, high = (rows.min(), cols.min()), (rows.max() + 1, cols.max() + 1)
        inset = round(self.cut_mm / self.spacing.row_mm), round(self.cut_mm / self.spacing.col_mm)
        window = [slice(None), slice(None)]
        if self.cut_mm:
            window = {
                "left": [slice(None), slice(low[1] + inset[1], None)],
                "right": [slice(None), slice(high[1] - inset[1])],
                "top": [slice(low[0] + inset[0], None), slice(None)],
                "bottom": [slice(high[0] - inset[0]), slice(None)],
            }[self.side]
        both = (self._drawn(80.0, 50.0, 24.0), self._drawn(68.0, 43.0, 18.0))
        return [self._seen(mask[tuple(window)], along[tuple(window)]) for mask, along in both]

    def _drawn(
        self, length_mm: float, semi_axis_mm: float, radius_mm: float
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        rows, cols = round(165 / self.spacing.row_mm), round(160 / self.spacing.col_mm)
        row_mm = (np.arange(rows) * self.spacing.row_mm - 100.1)[:, None]
        col_mm = (np.arange(cols) * self.spacing.col_mm - 80.1)[None, :]
        turn = math.radians(self.rotation_deg)
        along = row_mm * math.cos(turn) + col_mm * math.sin(turn)  # 0 at the base, the apex at -length
        across = -row_mm * math.sin(turn) + col_mm * math.cos(turn)
        beyond_mm = length_mm - semi_axis_mm
        middle = along + beyond_mm

        def inside(margin_mm: float) -> NDArray[np.bool_]:
            reach = (middle / (semi_axis_mm + margin_mm)) ** 2 + (across / (radius_mm + margin_mm)) ** 2
            return np.asarray((reach <= 1) & (along <= 0))

        wall = inside(8.0)
        if self.undrawn == "side":
            wall &= across > 0
        elif self.undrawn == "basal side":
            wall &= (across > 0) | (along < -20)
        elif self.undrawn == "apex":
            wall &= along > 12 - length_mm
        elif self.undrawn == "all":
            wall[:] = False
        mask = np.zeros(along.shape, np.uint8)
        mask[wall] = WALL
        mask[inside(0.0)] = 1
        half_base_mm = radius_mm * math.sqrt(1 - (beyond_mm / semi_axis_mm) ** 2)
        if self.atrium:
            reach = (across / (half_base_mm * self.atrium)) ** 2 + ((along - self.gap_mm) / 25) ** 2
            mask[(reach <= 1) & (along > self.gap_mm) & (mask == 0)] = ATRIUM
        return mask, along

    def _seen(
        self, mask: NDArray[np.uint8], along_mm: NDArray[np.float64]
    ) -> tuple[NDArray[np.uint8], float]:
        disc_mm = 2.0
        discs = np.floor(-along_mm[mask == 1] / disc_mm).astype(int)
        widths_mm = np.bincount(discs + 1) * self.spacing.pixel_area_mm2 / disc_mm
        return np.ascontiguousarray(mask), float(math.pi / 4 * (widths_mm**2).sum() * disc_mm / 1000)


def ef_pct(volumes_ml: list[float]) -> float:
    return 100 * (1 - volumes_ml[1] / volumes_ml[0])


def measured(drawing: Drawing) -> tuple[list[LVGeometry], list[float], float]:
    """Geometries at ED and ES, their single-plane volumes, and the true EF."""
    drawn = drawing.masks()
    geometries = [measure_geometry(mask, drawing.spacing, labels=CAMUS_LABELS) for mask, _ in drawn]
    volumes = [single_plane_volume_ml(g.diameters, length_mm=g.length) for g in geometries]
    return geometries, volumes, ef_pct([volume for _, volume in drawn])


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
@pytest.mark.parametrize("cut_mm", [0.0, 2.0, 5.0, 10.0, 13.0])
@pytest.mark.parametrize("rotation_deg", [0.0, -18.0, 31.0])
def test_a_cavity_that_the_picture_cuts_has_the_ef_of_what_is_seen(
    rotation_deg: float, cut_mm: float, side: str
) -> None:
    drawing = Drawing(rotation_deg=rotation_deg, cut_mm=cut_mm, side=side, spacing=Spacing(0.6, 0.45))
    geometries, volumes, true_ef = measured(drawing)
    assert ef_pct(volumes) == pytest.approx(true_ef, abs=1.0)
    if cut_mm:
        assert geometries[0].touches_border  # told as border_contact, whatever the EF


@pytest.mark.parametrize("undrawn", ["side", "basal side", "apex", "all"])
@pytest.mark.parametrize(
    "around", [{}, {"atrium": 1.2}, {"atrium": 0.7}, {"gap_mm": 1.0}, {"atrium": 0.0}], ids=str
)
def test_an_undrawn_wall_is_no_base(around: dict[str, float], undrawn: str) -> None:
    drawing = replace(Drawing(rotation_deg=9.0, undrawn=undrawn, spacing=Spacing(0.4, 0.6)), **around)
    _, volumes, true_ef = measured(drawing)
    assert ef_pct(volumes) == pytest.approx(true_ef, abs=1.0)
    whole = measured(replace(drawing, undrawn="", atrium=1.0, gap_mm=0.0))[1]
    assert volumes == pytest.approx(whole, rel=0.02)


def test_an_atrium_that_touches_places_the_annulus_without_any_wall() -> None:
    geometries, *_ = measured(Drawing(undrawn="all"))
    assert not any(geometry.annulus_from_shape for geometry in geometries)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_cavity_alone_that_the_picture_cuts_keeps_its_flat_base(side: str) -> None:
    drawing = Drawing(cut_mm=5.0, side=side, atrium=0.0, undrawn="all")
    for mask, volume_ml in drawing.masks():
        result = measure_geometry(mask, HALF_MM, labels=CAVITY_ONLY)
        assert result.annulus_from_shape
        assert single_plane_volume_ml(result.diameters, length_mm=result.length) == pytest.approx(
            volume_ml, rel=0.02
        )


def test_a_base_beyond_the_picture_leaves_only_a_flagged_guess() -> None:
    drawing = Drawing(cut_mm=12.0, side="bottom", undrawn="all")
    for mask, _ in drawing.masks():
        result = measure_geometry(mask, HALF_MM, labels=CAMUS_LABELS)
        assert result.touches_border and result.annulus_from_shape
