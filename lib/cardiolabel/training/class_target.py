"""Training towards classes."""

from __future__ import annotations

import torch

from cardiolabel.preprocessing.augmentation import moved_masks
from cardiolabel.training.samples import Samples


class ClassTarget:
    """Every pixel's class."""

    losses: tuple[str, ...] = ("dice", "ce", "dice+ce")

    def of(self, samples: Samples) -> torch.Tensor:
        """Classes ``(N, S, S)``."""
        return samples.classes

    def moved(self, targets: torch.Tensor, theta: torch.Tensor, side_px: int) -> torch.Tensor:
        """Classes ``(N, 1, S, S)`` of varied images."""
        return moved_masks(targets, theta, side_px)[:, None]

    def found(self, logits: torch.Tensor) -> torch.Tensor:
        """The likeliest classes of logits ``(N, C, S, S)``, one-hot ``(N, S, S, C)``."""
        return torch.nn.functional.one_hot(logits.argmax(1).cpu(), logits.shape[1]).bool()
