"""What a network leaves open about a frame, from logits that are made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cardiolabel.domain import Spacing
from cardiolabel.preprocessing.recipes import CAMUS, Placement
from cardiolabel.uncertainty.sampled_masks import LEVELS, frame_uncertainty
from cardiolabel.uncertainty.test_time_augmentation import VARIATIONS

SIDE = 128
RECIPE = CAMUS.sized(SIDE)
PLACE = Placement(200, 160, 128, 102, 0, 13, flipped=False)
PIXEL = Spacing(0.5, 0.5)
ROWS, COLS = np.mgrid[:SIDE, :SIDE].astype(np.float32)


def logits(softness: float, *, shift: float = 0.0) -> np.ndarray:
    """Cavity within wall above an atrium; the cavity's logit falls by 1 in so many pixels."""
    up, across = (96 - ROWS) / 70, (COLS - 64) / (22 + shift)
    inside = np.where(ROWS < 96, 1 - np.sqrt(up**2 + across**2), -1) * 22
    base = np.where(ROWS < 96, 0, -50)
    wall = np.where(
        np.sqrt((up * 70 / 76) ** 2 + (across * (22 + shift) / (28 + shift)) ** 2) < 1, 0.0, -50.0
    )
    atrium = np.where((ROWS >= 96) & (ROWS < 112) & (abs(COLS - 64) < 18), 30.0, -50.0)
    background = np.full((SIDE, SIDE), -20.0)
    return np.stack([background, inside / softness + base, wall + base, atrium]).astype(np.float32)


def seen(softness: float, shifts: dict[int, float] | None = None) -> np.ndarray:
    """Logits as `augmented_logits` returns them: each variation moves and scales what there is to see."""
    result = []
    for number, each in enumerate(VARIATIONS):
        plain = logits(softness, shift=(shifts or {}).get(number, 0.0))
        moved = (
            type(each)("moves", each.rotation_deg, each.scale, each.mirror).apply(plain[:, None] + 60)[:, 0]
            - 60
        )
        result.append(moved)
    return np.stack(result)


def test_a_sharp_edge_stays_and_a_soft_one_moves() -> None:
    sharp, soft = (frame_uncertainty(seen(each), RECIPE, place=PLACE, spacing=PIXEL) for each in (0.05, 3.0))
    assert sharp.geometries is not None
    assert soft.geometries is not None
    assert np.std(soft.geometries.area) > 5 * np.std(sharp.geometries.area)
    assert soft.entropy > 3 * sharp.entropy
    assert sharp.expected_dice > 0.99 > soft.expected_dice > 0.7


def test_a_lower_level_makes_the_cavity_smaller() -> None:
    result = frame_uncertainty(seen(3.0), RECIPE, place=PLACE, spacing=PIXEL)
    lower, higher = (
        [px for px, (_, by) in zip(result.cavity_px, LEVELS, strict=True) if np.sign(by) == sign]
        for sign in (-1, 1)
    )
    assert max(lower) < min(higher)


def test_scaled_variations_measure_what_is_there() -> None:
    result = frame_uncertainty(seen(0.05), RECIPE, place=PLACE, spacing=PIXEL)
    assert result.geometries is not None
    assert result.geometries.area == pytest.approx(result.geometries.area.mean(), rel=0.03)
    assert result.geometries.length == pytest.approx(result.geometries.length.mean(), rel=0.03)
    pixel_mm2 = (0.5 * 200 / 128) * (0.5 * 160 / 102)
    assert result.cavity_px * pixel_mm2 == pytest.approx(result.geometries.area, rel=0.01)


def test_predictions_that_differ_disagree() -> None:
    alike = frame_uncertainty(seen(0.05), RECIPE, place=PLACE, spacing=PIXEL)
    apart = frame_uncertainty(seen(0.05, {2: 8.0, 4: -8.0}), RECIPE, place=PLACE, spacing=PIXEL)
    assert alike.disagreement < 0.02 < 0.05 < apart.disagreement


def test_an_empty_mask_has_no_sizes() -> None:
    empty = np.full((len(VARIATIONS), 4, SIDE, SIDE), -9.0, dtype=np.float32)
    empty[:, 0] = 9
    result = frame_uncertainty(empty, RECIPE, place=PLACE, spacing=PIXEL)
    assert result.geometries is None
    assert (result.entropy, result.cavity_px.sum()) == (0.0, 0.0)
