"""Landmarks are warped like their image."""

from __future__ import annotations

import pytest
import torch

from cardiolabel.geometry.landmarks import NAMES
from cardiolabel.preprocessing.augmentation import Augmentation
from cardiolabel.preprocessing.landmark_warp import warp_landmarks

SIDE = 96
POINTS = torch.tensor([[60.0, 30], [45, 28], [32, 33], [22, 45], [34, 58], [46, 63], [58, 64]])
PLAIN_GREY = {
    "gamma": (1.0, 1.0),
    "gain": (1.0, 1.0),
    "attenuation": 0.0,
    "noise": 0.0,
    "speckle": 0.0,
    "blur_share": 0.0,
    "shadow_share": 0.0,
}


def dots(points: torch.Tensor) -> torch.Tensor:
    """A picture ``(1, S, S)`` per point, with a soft dot there."""
    places = torch.arange(SIDE, dtype=torch.float32)
    away = (places - points[..., None]).square()
    return torch.exp(-(away[:, 0, :, None] + away[:, 1, None, :]) / 8)[:, None]


def centre(picture: torch.Tensor) -> torch.Tensor:
    heat, places = picture[0] / picture.sum(), torch.arange(SIDE, dtype=torch.float32)
    return torch.stack([heat.sum(1) @ places, heat.sum(0) @ places])


@pytest.mark.parametrize("seed", range(4))
def test_a_warped_point_lies_where_its_dot_lies(seed: int) -> None:
    # One varied batch per point; the same generator varies them all the same way.
    augment = Augmentation(**PLAIN_GREY, mirror_share=0.5, shift=0.05)

    def varied(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return augment(
            picture.expand(3, 1, SIDE, SIDE),
            POINTS.expand(3, 7, 2),
            generator=torch.Generator().manual_seed(seed),
            warp_targets=warp_landmarks,
        )

    pictures = [varied(dots(POINTS[[index]])) for index in range(len(NAMES))]
    for image in range(3):
        points = pictures[0][1][image]
        seen = torch.stack([centre(varied_images[image]) for varied_images, _ in pictures])
        mirrored = bool(seen[0, 1] > seen[-1, 1])
        torch.testing.assert_close(points, seen.flip(0) if mirrored else seen, atol=0.15, rtol=0)
        assert points[0, 1] < points[-1, 1]


def test_mirroring_swaps_left_and_right() -> None:
    mirror = torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]])
    moved = warp_landmarks(POINTS[None], mirror, SIDE)[0]
    expected = torch.stack([POINTS[:, 0], SIDE - 1 - POINTS[:, 1]], 1)
    for name, other in zip(NAMES, reversed(NAMES), strict=True):
        torch.testing.assert_close(moved[NAMES.index(name)], expected[NAMES.index(other)])


def test_the_identity_warp_moves_nothing() -> None:
    still = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])
    torch.testing.assert_close(warp_landmarks(POINTS[None], still, SIDE)[0], POINTS)


def test_a_shift_by_half_a_picture() -> None:
    shift = torch.tensor([[[1.0, 0, 0.5], [0, 1, -1]]])  # the new image shows what was right of it and above
    moved = warp_landmarks(POINTS[None], shift, SIDE)[0]
    torch.testing.assert_close(moved, POINTS + torch.tensor([SIDE / 2, -SIDE / 4]))
