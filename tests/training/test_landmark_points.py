"""Landmarks of a mask lie where geometry says, and give the mask back."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cardiolabel.datasets.phantom import make_study
from cardiolabel.domain import Spacing
from cardiolabel.errors import MeasurementError
from cardiolabel.geometry.landmarks import NAMES, WALL_LEVELS
from cardiolabel.training.landmark_points import landmarks_of_mask

SPACINGS = [Spacing(0.5, 0.5), Spacing(0.3, 0.7), Spacing(0.8, 0.4)]
APEX_MM, LENGTH_MM, RADIUS_MM = np.array([15.0, 55.0]), 80.0, 25.0


def half_ellipse(spacing: Spacing, *, structures: bool = False) -> NDArray[np.uint8]:
    """A ventricle, apex up, its base straight; if asked, within a wall and above an atrium."""
    shape = round(130 / spacing.row_mm), round(110 / spacing.col_mm)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    down, right = rows * spacing.row_mm - APEX_MM[0] - LENGTH_MM, cols * spacing.col_mm - APEX_MM[1]
    mask = np.zeros(shape, np.uint8)
    if structures:
        mask[((down / (LENGTH_MM + 8)) ** 2 + (right / (RADIUS_MM + 8)) ** 2 < 1) & (down < 0)] = 2
        mask[((down / 25) ** 2 + (right / RADIUS_MM) ** 2 < 1) & (down >= 0)] = 3
    mask[((down / LENGTH_MM) ** 2 + (right / RADIUS_MM) ** 2 < 1) & (down < 0)] = 1
    return mask


def expected_mm() -> NDArray[np.float64]:
    def wall(level: float, side: int) -> list[float]:
        return [APEX_MM[0] + level * LENGTH_MM, APEX_MM[1] + side * RADIUS_MM * np.sqrt(1 - (1 - level) ** 2)]

    down = (1.0, *sorted(WALL_LEVELS, reverse=True))
    left, right = ([wall(level, side) for level in down] for side in (-1, 1))
    return np.array([*left, list(APEX_MM), *right[::-1]])


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def scaled(points: NDArray[np.float64], spacing: Spacing) -> NDArray[np.float64]:
    return points * (spacing.row_mm, spacing.col_mm)


@pytest.mark.parametrize("structures", [False, True], ids=["cavity", "wall and atrium"])
@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
def test_landmarks_of_a_half_ellipse(spacing: Spacing, structures: bool) -> None:
    mask = half_ellipse(spacing, structures=structures)
    result = landmarks_of_mask(mask, spacing)
    away = np.abs(scaled(result.points_px, spacing) - expected_mm())
    pixel_mm, apex = max(spacing.row_mm, spacing.col_mm), NAMES.index("apex")
    assert np.delete(away, apex, axis=0).max() < 2.1 * pixel_mm
    # A grid has several pixels in the row that is farthest from the base; any of them may be the apex.
    assert away[apex, 0] < pixel_mm and away[apex, 1] < 3
    assert dice(result.mask(mask.shape), mask == 1) > 0.96


def test_without_calibration_pixels_are_square() -> None:
    mask = half_ellipse(SPACINGS[0])
    square = landmarks_of_mask(mask, Spacing(1.0, 1.0)).points_px
    np.testing.assert_allclose(landmarks_of_mask(mask, None).points_px, square)


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
def test_left_and_right_are_the_images_however_it_is_turned(spacing: Spacing) -> None:
    mask = half_ellipse(spacing, structures=True)
    mask = np.where(np.arange(mask.shape[1]) * spacing.col_mm < 45, mask * (mask != 1), mask)  # not symmetric
    rows, cols = mask.shape
    result = landmarks_of_mask(mask, spacing).points_px
    mirrored = landmarks_of_mask(mask[:, ::-1].copy(), spacing).points_px
    turned = landmarks_of_mask(mask[::-1].copy(), spacing).points_px
    for points in (result, mirrored, turned):
        assert points[0, 1] < points[-1, 1] and points[1, 1] < points[-2, 1]
    at_most = 3 * max(spacing.row_mm, spacing.col_mm)
    back = np.stack([mirrored[::-1, 0], cols - 1 - mirrored[::-1, 1]], 1)
    assert np.linalg.norm(scaled(back - result, spacing), axis=1).max() < at_most
    back = np.stack([rows - 1 - turned[:, 0], turned[:, 1]], 1)
    assert np.linalg.norm(scaled(back - result, spacing), axis=1).max() < at_most


@pytest.mark.parametrize("seed", [1, 2])
def test_a_phantoms_mask_comes_back(seed: int) -> None:
    study = make_study("p", seed=seed, spacing=Spacing(0.39, 0.415), cine=False)
    for image in study.images:
        mask = image.masks[0]
        assert dice(landmarks_of_mask(mask, image.clip.spacing).mask(mask.shape), mask == 1) > 0.95


def test_what_has_no_landmarks() -> None:
    empty = np.zeros((40, 40), np.uint8)
    with pytest.raises(MeasurementError, match="no LV cavity"):
        landmarks_of_mask(empty, None)
    empty[5:7, 5:7] = 1
    with pytest.raises(MeasurementError, match="only 4 pixels"):
        landmarks_of_mask(empty, None)
