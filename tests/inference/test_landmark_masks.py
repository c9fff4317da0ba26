"""Landmark heatmaps become cavities on the frame's own grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cardiolabel.domain import LV_LABELS, Clip, Spacing
from cardiolabel.geometry.landmarks import Landmarks
from cardiolabel.inference.landmark_masks import cavity_mask, landmark_masks
from cardiolabel.inference.predictor import Predictor
from cardiolabel.networks.landmark_heatmaps import SPREAD
from cardiolabel.networks.registry import build
from cardiolabel.networks.weights import ModelCard, save_model
from cardiolabel.preprocessing.recipes import LANDMARKS, Placement

from .models import noise_clip

SHARES = np.array([[0.8, 0.35], [0.6, 0.3], [0.4, 0.33], [0.2, 0.5], [0.4, 0.64], [0.6, 0.68], [0.78, 0.66]])
"""Landmarks as shares of the frame's height and width."""


def upside_down(points: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    return np.stack([rows - 1 - points[:, 0], points[:, 1]], axis=1)


def sector(shape: tuple[int, int]) -> NDArray[np.uint8]:
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    inside = np.abs(cols - shape[1] / 2) <= 2 + 0.45 * shape[1] * rows / shape[0]
    return np.where(inside, 100 + (rows + cols) % 50, 0).astype(np.uint8)


def heatmaps(points_px: NDArray[np.float64], place: Placement) -> torch.Tensor:
    """Perfect logits ``(1, 7, S, S)`` for points of the frame."""
    side = LANDMARKS.size_px
    inside = torch.from_numpy(place.to_input(points_px))[None]
    away = -((torch.arange(side) - inside[..., None]) / (SPREAD * side)).square() / 2
    return (away[..., 0, :, None] + away[..., 1, None, :]).float()


@pytest.mark.parametrize("flipped", [False, True], ids=["upright", "upside down"])
@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((400, 300), Spacing(0.3, 0.6)), ((180, 500), Spacing(1.1, 0.3)), ((256, 256), None)],
    ids=str,
)
def test_exact_heatmaps_give_the_reference_cavity(
    shape: tuple[int, int], spacing: Spacing | None, flipped: bool
) -> None:
    frame, points = sector(shape), SHARES * shape
    if flipped:
        frame, points = frame[::-1].copy(), upside_down(points, shape[0])
    place = LANDMARKS.placement(Clip(frame[None], spacing))
    assert place.flipped is flipped
    masks = landmark_masks(heatmaps(points, place).numpy(), LANDMARKS, place)
    assert masks.shape == (1, *shape) and masks.dtype == np.uint8
    truth = Landmarks(points).mask(shape)
    assert set(np.unique(masks)) == {0, 1}
    assert 2 * (masks[0].astype(bool) & truth).sum() / (masks.sum() + truth.sum()) > 0.99


@pytest.mark.parametrize("value", [0.0, float("nan"), float("-inf"), float("inf")])
def test_a_heatmap_without_a_peak_empties_only_its_own_frame(value: float) -> None:
    place = LANDMARKS.placement(Clip(sector((256, 256))[None], None))
    good = heatmaps(SHARES * 256, place)
    masks = landmark_masks(torch.cat([torch.full_like(good, value), good]).numpy(), LANDMARKS, place)
    assert not masks[0].any() and masks[1].any()


def test_coinciding_landmarks_give_no_cavity() -> None:
    assert not cavity_mask(np.full((7, 2), 30.0), (64, 64)).any()
    assert not cavity_mask(np.full((7, 2), 30.0) + 1e-12 * np.arange(7)[:, None], (64, 64)).any()
    assert not cavity_mask(np.full((7, 2), np.nan), (64, 64)).any()
    assert cavity_mask(SHARES * 64, (64, 64)).sum() > 300


def test_an_outline_beyond_the_frame_is_clipped() -> None:
    whole, cut = cavity_mask(SHARES * 64, (64, 64)), cavity_mask(SHARES * 64, (32, 64))
    assert np.array_equal(cut, whole[:32])


def test_a_model_file_predicts_cavities(tmp_path: Path) -> None:
    torch.manual_seed(1)
    arguments = {"out_channels": 7, "widths": [4, 6, 8]}
    card = ModelCard("lm", "0", "unet", arguments, "landmarks", trained_on="nothing", licence="none")
    save_model(build("unet", arguments), card, folder=tmp_path)
    predictor = Predictor.load("lm", tmp_path)
    clip = noise_clip(9, 90, 120, Spacing(0.4, 0.9))
    masks = predictor.predict(clip)
    assert predictor.labels is LV_LABELS
    assert masks.shape == clip.shape and set(np.unique(masks)) <= {0, 1}
    assert np.array_equal(masks, Predictor.load("lm", tmp_path).predict(clip))
