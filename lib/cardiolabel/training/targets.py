"""Kinds of training targets, one per kind of network output."""

from __future__ import annotations

from typing import Protocol

import torch

from cardiolabel.preprocessing.recipes import Output
from cardiolabel.training.class_target import ClassTarget
from cardiolabel.training.landmark_target import LandmarkTarget
from cardiolabel.training.samples import Samples


class Target(Protocol):
    """A kind of target; ``losses`` are those of `cardiolabel.training.losses.LOSSES` that accept it."""

    losses: tuple[str, ...]

    def of(self, samples: Samples) -> torch.Tensor:
        """Return the targets of all frames, the first axis being frames."""

    def moved(self, targets: torch.Tensor, theta: torch.Tensor, side_px: int) -> torch.Tensor:
        """Warp a batch by `cardiolabel.preprocessing.augmentation.TargetWarp`, in the form that losses
        take.
        """

    def completed(self, targets: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Fill what warped targets leave open with the network's own logits."""

    def predicted(self, logits: torch.Tensor) -> torch.Tensor:
        """Convert logits ``(N, C, S, S)`` to one-hot classes ``(N, S, S, 1 + structures)`` on the CPU."""


TARGETS: dict[Output, Target] = {Output.CLASSES: ClassTarget(), Output.LANDMARKS: LandmarkTarget()}
