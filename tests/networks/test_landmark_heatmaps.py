"""Heatmaps become points with sub-pixel accuracy."""

from __future__ import annotations

import pytest
import torch

from cardiolabel.networks.landmark_heatmaps import SPREAD, expected_points, peak_points

SIDE = 80


def heatmap(points: torch.Tensor, *, spread: float = SPREAD) -> torch.Tensor:
    """Logits ``(N, K, S, S)`` of Gaussians around points ``(N, K, 2)``."""
    places = torch.arange(SIDE, dtype=torch.float32)
    away = -((places - points[..., None]) / (spread * SIDE)).square() / 2
    return away[..., 0, :, None] + away[..., 1, None, :]


POINTS = torch.tensor([[[30.0, 41.0], [30.3, 41.75], [12.5, 66.1]]])


@pytest.mark.parametrize("points_of", [expected_points, peak_points])
def test_a_gaussian_gives_its_centre(points_of: object) -> None:
    assert callable(points_of)
    torch.testing.assert_close(points_of(heatmap(POINTS)), POINTS, atol=0.02, rtol=0)


def test_a_second_peak_does_not_move_the_point() -> None:
    other = heatmap(torch.tensor([[70.0, 8.0]]).expand(1, 3, 2)) - 0.3
    both = torch.logaddexp(heatmap(POINTS), other)
    assert (expected_points(both) - POINTS).abs().max() > 10
    torch.testing.assert_close(peak_points(both), POINTS, atol=0.02, rtol=0)


def test_a_peak_in_the_corner_stays_inside_the_image() -> None:
    result = peak_points(heatmap(torch.tensor([[[0.0, SIDE - 1.0]]])))
    assert (result >= 0).all() and (result <= SIDE - 1).all()
    torch.testing.assert_close(result, torch.tensor([[[0.0, SIDE - 1.0]]]), atol=1.0, rtol=0)


def test_nan_heatmaps_give_nan_points() -> None:
    nothing = torch.full((1, 1, SIDE, SIDE), torch.nan)
    assert peak_points(nothing).isnan().all()


def test_points_are_differentiable() -> None:
    logits = torch.zeros(1, 1, SIDE, SIDE, requires_grad=True)
    expected_points(logits)[..., 1].sum().backward()
    assert logits.grad is not None
    assert logits.grad[0, 0, 5, -1] > 0 > logits.grad[0, 0, 5, 0]
