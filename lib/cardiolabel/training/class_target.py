"""Training towards classes."""

from __future__ import annotations

import torch

from cardiolabel.preprocessing.augmentation import warp_masks
from cardiolabel.training.samples import NOT, Samples


class ClassTarget:
    """Every pixel's class."""

    losses: tuple[str, ...] = ("dice", "ce", "dice+ce")

    def of(self, samples: Samples) -> torch.Tensor:
        """Return the classes ``(N, S, S)``."""
        return samples.classes

    def moved(self, targets: torch.Tensor, theta: torch.Tensor, side_px: int) -> torch.Tensor:
        """Return the classes ``(N, 1, S, S)`` of varied images."""
        return warp_masks(targets, theta, side_px)[:, None]

    def completed(self, targets: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Return the classes, where only some class is ruled out the likeliest other one by logits ``(N, C,
        S, S)``.

        A frame in which only the cavity was drawn then teaches the cavity, and of the rest what is known
        already.
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
