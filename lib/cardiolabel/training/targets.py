"""What networks are trained towards, one kind per output."""

from __future__ import annotations

from typing import Protocol

import torch

from cardiolabel.preprocessing.recipes import Output
from cardiolabel.training.class_target import ClassTarget
from cardiolabel.training.landmark_target import LandmarkTarget
from cardiolabel.training.samples import Samples


class Target(Protocol):
    """One kind of target; ``losses`` are those of `cardiolabel.training.losses.LOSSES` that take it."""

    losses: tuple[str, ...]

    def of(self, samples: Samples) -> torch.Tensor:
        """Return the targets of all frames, the first axis being frames."""

    def moved(self, targets: torch.Tensor, theta: torch.Tensor, side_px: int) -> torch.Tensor:
        """Return a batch of them after `cardiolabel.preprocessing.augmentation.TargetWarp`, as losses take
        it.
        """

    def completed(self, targets: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Moved targets, what they leave open filled in by the network's own logits."""

    def predicted(self, logits: torch.Tensor) -> torch.Tensor:
        """Return what logits ``(N, C, S, S)`` mean, one-hot ``(N, S, S, 1 + structures)`` on the CPU."""


TARGETS: dict[Output, Target] = {Output.CLASSES: ClassTarget(), Output.LANDMARKS: LandmarkTarget()}
