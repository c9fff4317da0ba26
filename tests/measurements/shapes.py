"""Masks whose volumes, points and lengths are known in closed form."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import CAMUS_LABELS, LabelSet, Phase, Spacing, View
from cardiolabel.measurements.records import MaskedImage

CAVITY_ONLY = LabelSet("cavity", (("lv_cavity", 1),))
MM = Spacing(row_mm=1.0, col_mm=1.0)
HALF_MM = Spacing(row_mm=0.5, col_mm=0.5)


@dataclass(frozen=True)
class Ventricle:
    """An ellipsoid of revolution in one plane, apex up, cut across its axis.

    The base plane lies ``cut`` semi-axes beyond the centre, so 0 is a half-ellipsoid.
    ``rotation_deg`` turns it about ``centre_mm`` (row, col), the ellipse's centre.
    """

    semi_axis_mm: float = 80.0
    radius_mm: float = 24.0
    cut: float = 0.0
    rotation_deg: float = 0.0
    centre_mm: tuple[float, float] = (102.3, 70.6)
    wall_mm: float = 9.0
    field_mm: tuple[float, float] = (160.0, 142.0)

    @property
    def length_mm(self) -> float:
        """From the middle of the base to the apex."""
        return self.semi_axis_mm * (1 + self.cut)

    @property
    def half_base_mm(self) -> float:
        return self.radius_mm * math.sqrt(1 - self.cut**2)

    def point_px(self, along_mm: float, across_mm: float, spacing: Spacing) -> tuple[float, float]:
        """Pixel (row, col) of a point given along the axis (base positive) and across it."""
        turn = math.radians(self.rotation_deg)
        row_mm = self.centre_mm[0] + along_mm * math.cos(turn) - across_mm * math.sin(turn)
        col_mm = self.centre_mm[1] + along_mm * math.sin(turn) + across_mm * math.cos(turn)
        return row_mm / spacing.row_mm - 0.5, col_mm / spacing.col_mm - 0.5

    def mask(self, spacing: Spacing, *, neighbours: bool = True) -> NDArray[np.uint8]:
        """CAMUS label values; the cavity alone without ``neighbours``."""
        rows, cols = (round(size / step) for size, step in zip(self.field_mm, _steps(spacing), strict=True))
        row_mm = ((np.arange(rows) + 0.5) * spacing.row_mm - self.centre_mm[0])[:, None]
        col_mm = ((np.arange(cols) + 0.5) * spacing.col_mm - self.centre_mm[1])[None, :]
        turn = math.radians(self.rotation_deg)
        along = row_mm * math.cos(turn) + col_mm * math.sin(turn)
        across = -row_mm * math.sin(turn) + col_mm * math.cos(turn)
        base_mm = self.cut * self.semi_axis_mm
        above = along <= base_mm
        mask = np.zeros((rows, cols), dtype=np.uint8)
        if neighbours:
            atrium = ((along - base_mm - 18) / 20) ** 2 + (across / (1.1 * self.radius_mm)) ** 2 <= 1
            mask[atrium & ~above] = CAMUS_LABELS.value("left_atrium")
            mask[above & (self._reach(along, across, self.wall_mm) <= 1)] = CAMUS_LABELS.value("myocardium")
        mask[above & (self._reach(along, across, 0.0) <= 1)] = CAMUS_LABELS.value("lv_cavity")
        return mask

    def _reach(
        self, along: NDArray[np.float64], across: NDArray[np.float64], wall_mm: float
    ) -> NDArray[np.float64]:
        return (along / (self.semi_axis_mm + wall_mm)) ** 2 + (across / (self.radius_mm + wall_mm)) ** 2


def volume_ml(a4c: Ventricle, a2c: Ventricle) -> float:
    """Exact volume of the ellipsoid with these two planes through its axis.

    Both are cut alike: the integral of ``pi b1 b2 (1 - s²/a²)`` from the apex to the base.
    """
    part = a4c.cut - a4c.cut**3 / 3 + 2 / 3
    return math.pi * a4c.radius_mm * a2c.radius_mm * a4c.semi_axis_mm * part / 1000


@dataclass(frozen=True)
class Heart:
    """A ventricle at both phases in both views."""

    a4c_ed: Ventricle = Ventricle()
    a2c_ed: Ventricle = Ventricle(radius_mm=22.0)
    a4c_es: Ventricle = Ventricle(semi_axis_mm=70.0, radius_mm=18.0)
    a2c_es: Ventricle = Ventricle(semi_axis_mm=70.0, radius_mm=15.5)

    @classmethod
    def posed(
        cls, *, length_mm: float = 85.0, cut: float, rotation_deg: float, shift_mm: tuple[float, float]
    ) -> Heart:
        """A heart whose four planes are turned and cut alike, and shifted a little."""
        semi_axis_mm = length_mm / (1 + cut)
        centre_mm = (104.0 - cut * semi_axis_mm + shift_mm[0], 71.0 - 0.8 * rotation_deg + shift_mm[1])
        pose = Ventricle(semi_axis_mm, cut=cut, rotation_deg=rotation_deg, centre_mm=centre_mm)
        small = replace(pose, semi_axis_mm=0.87 * semi_axis_mm)
        return cls(
            pose,
            replace(pose, radius_mm=22.0),
            replace(small, radius_mm=18.0),
            replace(small, radius_mm=15.5),
        )

    @property
    def edv_ml(self) -> float:
        return volume_ml(self.a4c_ed, self.a2c_ed)

    @property
    def esv_ml(self) -> float:
        return volume_ml(self.a4c_es, self.a2c_es)

    @property
    def ef_pct(self) -> float:
        return 100 * (1 - self.esv_ml / self.edv_ml)

    def images(
        self, spacing: Spacing, *, labels: LabelSet = CAMUS_LABELS, neighbours: bool = True
    ) -> list[MaskedImage]:
        """The four stills."""
        planes = (
            (View.A4C, Phase.ED, self.a4c_ed),
            (View.A4C, Phase.ES, self.a4c_es),
            (View.A2C, Phase.ED, self.a2c_ed),
            (View.A2C, Phase.ES, self.a2c_es),
        )
        return [
            still(plane.mask(spacing, neighbours=neighbours), view, phase, spacing=spacing, labels=labels)
            for view, phase, plane in planes
        ]


def still(
    mask: NDArray[np.uint8],
    view: View = View.A4C,
    phase: Phase = Phase.ED,
    *,
    spacing: Spacing | None = MM,
    labels: LabelSet = CAMUS_LABELS,
) -> MaskedImage:
    """One frame as an image of patient p."""
    return MaskedImage(f"p_{view}_{phase}", "p", view, phase, mask[None], spacing, labels)


def cine(
    masks: Iterable[NDArray[np.uint8]],
    view: View = View.A4C,
    *,
    spacing: Spacing | None = MM,
    ed_frame: int | None = None,
    es_frame: int | None = None,
    frame_rate_hz: float | None = None,
) -> MaskedImage:
    """Frames as one cine of patient p."""
    return MaskedImage(
        f"p_{view}_cine",
        "p",
        view,
        Phase.CINE,
        np.stack(list(masks)),
        spacing,
        CAMUS_LABELS,
        ed_frame=ed_frame,
        es_frame=es_frame,
        frame_rate_hz=frame_rate_hz,
    )


def beating(sizes: Iterable[float], *, spacing: Spacing = MM) -> list[NDArray[np.uint8]]:
    """Masks of one ventricle at these shares of its ED size (1 at ED)."""
    pose = Ventricle()
    return [
        replace(pose, semi_axis_mm=size * pose.semi_axis_mm, radius_mm=size * pose.radius_mm).mask(spacing)
        for size in sizes
    ]


def _steps(spacing: Spacing) -> tuple[float, float]:
    return spacing.row_mm, spacing.col_mm


def rectangle(top: int, left: int, *, height: int = 20, width: int = 30) -> NDArray[np.uint8]:
    """Ones in a mask of zeros, by their top left pixel."""
    mask = np.zeros((80, 90), np.uint8)
    mask[top : top + height, left : left + width] = 1
    return mask
