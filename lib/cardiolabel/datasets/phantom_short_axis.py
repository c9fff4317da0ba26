"""Short-axis MR stacks of a phantom's ventricle, with true masks.

Each slice cuts the ventricle in an ellipse. Its diameters are the widths that A4C and A2C have at that height
(`phantom_geometry`), so that echo and MR of one phantom have one true volume. Grey values are those of
balanced steady-state cine: bright blood, dark muscle, black lung.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardiolabel.datasets.phantom_geometry import Beat, Heart
from cardiolabel.domain import ACDC_LABELS, Spacing, Stack

__all__ = ["SHORT_AXIS_PHASES", "ShortAxis", "short_axis"]

SHORT_AXIS_PHASES = 12

_SIDE_PX, _PIXEL_MM, _SLICE_MM = 144, 1.4, 8.0
_BLOOD, _MUSCLE, _BODY, _LUNG, _NOISE = 900.0, 260.0, 520.0, 60.0, 25.0
_RIGHT_WALL_MM = 3.0
_LIVER_MM = 25.0
"""Distance below the ventricle's axis from which on the liver is shown; beyond the apex there is no lung."""
_RIGHT_SHARE = 0.75
"""Height, as a share of the left ventricle's length, up to which the right ventricle reaches."""


@dataclass(frozen=True, eq=False)
class ShortAxis:
    """A short-axis cine: one stack and one mask ``(Z, H, W)`` of ACDC labels for each phase."""

    stacks: tuple[Stack, ...]
    masks: tuple[NDArray[np.uint8], ...]
    es_phase: int


def short_axis(heart: Heart, *, seed: tuple[int, ...]) -> ShortAxis:
    """Generate the cine of one heart beat; the first phase is end-diastole.

    Parameters
    ----------
    heart : Heart
    seed : tuple of int
        Decides noise and texture.
    """
    rng = np.random.default_rng(seed)
    es_phase = max(round(0.36 * SHORT_AXIS_PHASES), 1)
    beat = Beat(float(SHORT_AXIS_PHASES), es_phase + 1)
    slices = math.ceil(max(heart.lengths_ed_mm) / _SLICE_MM) + 2
    affine = np.diag([-_PIXEL_MM, -_PIXEL_MM, _SLICE_MM, 1.0])
    stacks, masks = [], []
    for phase in range(SHORT_AXIS_PHASES):
        contracted, _ = beat.state(phase + 1)
        planes = [_plane(heart, contracted, (index - 0.5) * _SLICE_MM, rng) for index in range(slices)]
        pixels = np.stack([plane for plane, _ in planes])
        stacks.append(Stack(pixels, Spacing(_PIXEL_MM, _PIXEL_MM), _SLICE_MM, affine))
        masks.append(np.stack([mask for _, mask in planes]))
    return ShortAxis(tuple(stacks), tuple(masks), es_phase)


def _plane(
    heart: Heart, contracted: float, height_mm: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Return one slice at a height above the annulus, (H, W), and its mask."""
    centres = (np.arange(_SIDE_PX) + 0.5 - _SIDE_PX / 2) * _PIXEL_MM
    row, col = np.meshgrid(centres, centres, indexing="ij")
    length = max(heart.lengths_mm(contracted))
    wall = heart.wall_ed_mm * (1.0 + contracted * 0.006 * heart.ef_pct)
    radii = _radii_mm(heart, contracted, height_mm / length)
    picture = np.where(np.hypot(row / 85.0, col / 95.0) < 1, _BODY, _LUNG)
    in_chest = (np.hypot(row / 68.0, (col + 10) / 75.0) < 1) & (row < _LIVER_MM) & (height_mm <= length)
    picture = np.where(in_chest, _LUNG, picture)
    mask = np.zeros(row.shape, np.uint8)
    if height_mm >= 0 and height_mm <= length + wall:
        inner = np.hypot(row / radii[0], col / radii[1]) if min(radii) > 0 else np.full(row.shape, np.inf)
        beyond = min(max((height_mm - length) / wall, 0.0), 1.0)
        cap = max(wall * math.sqrt(1.0 - beyond**2), _PIXEL_MM)
        outer = np.hypot(row / (radii[0] + cap), col / (radii[1] + cap))
        if height_mm < _RIGHT_SHARE * length:
            sides = 0.9 * (radii[0] + wall), 0.9 * (radii[1] + wall)
            right = np.hypot(row / sides[0], (col + radii[1] + wall) / sides[1])
            picture = np.where(right < 1 + _RIGHT_WALL_MM / sides[1], _MUSCLE, picture)
            picture = np.where(right < 1, _BLOOD, picture)
        picture = np.where(outer <= 1, _MUSCLE, picture)
        picture = np.where(inner <= 1, _BLOOD, picture)
        mask[outer <= 1] = ACDC_LABELS.value("myocardium")
        mask[inner <= 1] = ACDC_LABELS.value("lv_cavity")
    real, imaginary = rng.normal(0, _NOISE, (2, *picture.shape))
    return np.hypot(picture + real, imaginary).astype(np.uint16), mask


def _radii_mm(heart: Heart, contracted: float, share: float) -> tuple[float, float]:
    """Return the cavity's half diameters along rows (A2C) and columns (A4C) at a share of its length."""
    inside = 1.0 - ((share - heart.waist) / (1.0 - heart.waist)) ** 2
    if not 0.0 <= share <= 1.0 or inside <= 0:
        return 0.0, 0.0
    a4c, a2c = heart.widths_mm(contracted)
    return a2c / 2 * math.sqrt(inside), a4c / 2 * math.sqrt(inside)
