"""Losses by name, each of logits and targets."""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.losses.dice import DiceCELoss, DiceLoss

from cardiolabel.training.landmark_loss import landmark_loss

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _cross_entropy(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(logits, classes[:, 0].long())


LOSSES: dict[str, Callable[[], Loss]] = {
    "dice": lambda: DiceLoss(include_background=True, to_onehot_y=True, softmax=True, batch=True),
    "ce": lambda: _cross_entropy,
    "dice+ce": lambda: DiceCELoss(include_background=True, to_onehot_y=True, softmax=True, batch=True),
    "dsnt": lambda: landmark_loss,
}
"""For classes ``(N, 1, S, S)``: Dice over the batch, background included; cross-entropy; the sum of both. For
landmarks ``(N, 7, 2)``: distance and cross-entropy of their heatmaps.
"""


def supervised(loss: Loss, logits: torch.Tensor | list[torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    """Compute the loss of logits ``(N, C, S, S)``, or of a list of logits with deep supervision.

    Each further output of a list counts half as much as the one before, in shares that add up to one.

    References
    ----------
    Isensee et al. 2021, doi 10.1038/s41592-020-01008-z, for the weights.
    """
    outputs = logits if isinstance(logits, list) else [logits]
    weights = [0.5**index for index in range(len(outputs))]
    each = [weight * loss(output.float(), targets) for weight, output in zip(weights, outputs, strict=True)]
    return torch.stack(each).sum() / sum(weights)
