"""Training targets of landmarks."""

from __future__ import annotations

import numpy as np
import torch

from cardiolabel.inference.landmark_masks import cavity_mask
from cardiolabel.networks.landmark_heatmaps import peak_points
from cardiolabel.preprocessing.landmark_warp import warp_landmarks
from cardiolabel.training.samples import Samples


class LandmarkTarget:
    """Target of seven landmarks."""

    losses: tuple[str, ...] = ("dsnt",)

    def of(self, samples: Samples) -> torch.Tensor:
        """Return the points ``(N, 7, 2)`` in pixels of the images."""
        return samples.points

    def moved(self, targets: torch.Tensor, theta: torch.Tensor, side_px: int) -> torch.Tensor:
        """Warp the landmarks like their augmented images."""
        return warp_landmarks(targets, theta, side_px)

    def completed(self, targets: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Return the targets unchanged, as they are complete."""
        return targets

    def predicted(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the cavities that heatmaps ``(N, 7, S, S)`` outline, one-hot ``(N, S, S, 2)``."""
        rows, cols = logits.shape[-2:]
        points_px = peak_points(logits).double().cpu().numpy()
        cavities = np.stack([cavity_mask(points, (rows, cols)) for points in points_px])
        return torch.from_numpy(np.stack([~cavities, cavities], axis=-1))
