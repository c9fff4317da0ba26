"""Losses by name; every one takes logits and classes, and a list of logits for deep supervision."""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.losses.dice import DiceCELoss, DiceLoss

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _cross_entropy(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(logits, classes[:, 0].long())


LOSSES: dict[str, Callable[[], Loss]] = {
    "dice": lambda: DiceLoss(include_background=True, to_onehot_y=True, softmax=True, batch=True),
    "ce": lambda: _cross_entropy,
    "dice+ce": lambda: DiceCELoss(include_background=True, to_onehot_y=True, softmax=True, batch=True),
}
"""Dice over the batch, background included; cross-entropy; the sum of both."""


def supervised(loss: Loss, logits: torch.Tensor | list[torch.Tensor], classes: torch.Tensor) -> torch.Tensor:
    """The loss of logits ``(N, C, S, S)`` against classes ``(N, 1, S, S)``.

    A list counts each further output half as much as the one before, in shares that add up to one.

    References
    ----------
    Isensee et al. 2021, doi 10.1038/s41592-020-01008-z, for the weights.
    """
    outputs = logits if isinstance(logits, list) else [logits]
    weights = [0.5**index for index in range(len(outputs))]
    each = [weight * loss(output.float(), classes) for weight, output in zip(weights, outputs, strict=True)]
    return torch.stack(each).sum() / sum(weights)
