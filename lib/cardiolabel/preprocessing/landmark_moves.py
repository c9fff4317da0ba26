"""Landmarks that follow a varied training image."""

from __future__ import annotations

import torch


def moved_landmarks(points_px: torch.Tensor, theta: torch.Tensor, side_px: int) -> torch.Tensor:
    """Where landmarks lie after the warp of their images; those of mirrored images change their names.

    Parameters
    ----------
    points_px : torch.Tensor, shape (N, 7, 2)
        (row, col) in pixels, in the order of `cardiolabel.geometry.landmarks.NAMES`.
    theta : torch.Tensor, shape (N, 2, 3)
        As `cardiolabel.preprocessing.augmentation.Move` has it.
    side_px : int
        Side of the images.

    Returns
    -------
    torch.Tensor, shape (N, 7, 2)
        Points may lie outside the image.
    """
    turn, shift = theta[:, :, :2], theta[:, :, 2]
    places = (2 * points_px.flip(-1) + 1) / side_px - 1  # (x, y), -1 and 1 at the image's edges
    moved = torch.linalg.solve(turn, (places - shift[:, None]).mT).mT
    moved_px = ((moved + 1) * side_px - 1).flip(-1) / 2
    mirrored = torch.linalg.det(turn) < 0
    # Read backwards, the names are those of the other side.
    return torch.where(mirrored[:, None, None], moved_px.flip(1), moved_px)
