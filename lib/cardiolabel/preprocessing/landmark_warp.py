"""Landmarks warped together with their training image."""

from __future__ import annotations

import torch


def warp_landmarks(points_px: torch.Tensor, theta: torch.Tensor, side_px: int) -> torch.Tensor:
    """Warp landmarks like their images; in mirrored images the landmarks swap sides.

    Parameters
    ----------
    points_px : torch.Tensor, shape (N, 7, 2)
        (row, col) in pixels, in the order of `cardiolabel.geometry.landmarks.NAMES`.
    theta : torch.Tensor, shape (N, 2, 3)
        Sampling transforms, as in `cardiolabel.preprocessing.augmentation.TargetWarp`.
    side_px : int
        Side of the square images.

    Returns
    -------
    torch.Tensor, shape (N, 7, 2)
        Points may lie outside the image.
    """
    turn, shift = theta[:, :, :2], theta[:, :, 2]
    places = (2 * points_px.flip(-1) + 1) / side_px - 1  # (x, y), -1 and 1 at the image's edges
    warped = torch.linalg.solve(turn, (places - shift[:, None]).mT).mT
    warped_px = ((warped + 1) * side_px - 1).flip(-1) / 2
    mirrored = torch.linalg.det(turn) < 0
    # The names run along the contour, so mirroring reverses their order.
    return torch.where(mirrored[:, None, None], warped_px.flip(1), warped_px)
