"""Training targets of classes."""

from __future__ import annotations

import torch

from cardiolabel.preprocessing.augmentation import warp_masks
from cardiolabel.training.samples import NOT, Samples


class ClassTarget:
    """Target with a class for every pixel."""

    losses: tuple[str, ...] = ("dice", "ce", "dice+ce")

    def of(self, samples: Samples) -> torch.Tensor:
        """Return the classes ``(N, S, S)``."""
        return samples.classes

    def moved(self, targets: torch.Tensor, theta: torch.Tensor, side_px: int) -> torch.Tensor:
        """Warp classes ``(N, 1, S, S)`` like their augmented images."""
        return warp_masks(targets, theta, side_px)[:, None]

    def completed(self, targets: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Fill pixels that only exclude one class with the likeliest other class by logits ``(N, C, S, S)``.

        A frame with only the cavity labelled then teaches the cavity, and for the rest the model's own
        prediction.
        """
        is_open = targets >= NOT
        if not is_open.any():
            return targets
        ruled_out = torch.where(is_open, targets - NOT, 0)
        others = logits.detach().float().scatter(1, ruled_out, -torch.inf)
        return torch.where(is_open, others.argmax(1, keepdim=True), targets)

    def predicted(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the likeliest classes of logits ``(N, C, S, S)``, one-hot ``(N, S, S, C)``."""
        return torch.nn.functional.one_hot(logits.argmax(1).cpu(), logits.shape[1]).bool()
