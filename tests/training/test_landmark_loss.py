"""The loss of heatmaps is least where heatmaps are Gaussians around their landmarks."""

from __future__ import annotations

import math

import pytest
import torch

from cardiolabel.networks.landmark_heatmaps import SPREAD
from cardiolabel.training.landmark_loss import landmark_loss

SIDE = 80
POINTS = torch.tensor([[30.0, 20.0], [25, 22], [20, 26], [15.5, 40.2], [21, 55], [26, 58], [31, 60]])[None]


def gaussians(points: torch.Tensor, *, spread: float = SPREAD) -> torch.Tensor:
    away = -((torch.arange(SIDE) - points[..., None]) / (spread * SIDE)).square() / 2
    return away[..., 0, :, None] + away[..., 1, None, :]


def test_at_best_it_is_the_gaussians_entropy() -> None:
    best = landmark_loss(gaussians(POINTS), POINTS)
    assert float(best) == pytest.approx(math.log(2 * math.pi * math.e * (SPREAD * SIDE) ** 2), abs=0.02)
    for other in (gaussians(POINTS + 1), gaussians(POINTS, spread=2 * SPREAD), gaussians(POINTS.flip(1))):
        assert landmark_loss(other, POINTS) > best + 0.2


def test_distance_is_in_halves_of_the_side() -> None:
    points = POINTS[:, :1]
    logits = torch.full((1, 1, SIDE, SIDE), -50.0)
    logits[0, 0, 30, 60] = 50.0  # all of it 40 pixels to the right
    spread_px = SPREAD * SIDE
    outside = torch.logsumexp(logits.flatten(), 0) + 50.0
    assert float(landmark_loss(logits, points)) == pytest.approx(float(outside) + 40 * 2 / SIDE, rel=1e-3)
    assert spread_px == 1


def test_landmarks_outside_the_image_do_not_count() -> None:
    logits = torch.randn(1, 7, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    points = POINTS.clone()
    points[0, 0] = torch.tensor([SIDE + 5.0, 20.0])
    assert landmark_loss(logits, points) == pytest.approx(float(landmark_loss(logits[:, 1:], points[:, 1:])))
    gone = points + 1000
    assert landmark_loss(logits, gone) == 0


def test_it_pulls_heatmaps_towards_their_landmarks() -> None:
    logits = torch.zeros(1, 7, SIDE, SIDE, requires_grad=True)
    landmark_loss(logits, POINTS).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None and logits.grad.isfinite().all()
    rows, cols = POINTS[0].round().long().unbind(1)
    assert (logits.grad[0, torch.arange(7), rows, cols] < 0).all()
