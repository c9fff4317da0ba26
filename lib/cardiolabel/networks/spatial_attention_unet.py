"""U-Net with spatial attention at its bottleneck (SA-UNet)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from monai.networks.nets.basic_unet import Down, TwoConv, UpCat

_ACTIVATION = ("LeakyReLU", {"negative_slope": 0.1, "inplace": True})


class SpatialAttention(torch.nn.Module):
    """Weights each pixel by a convolution over the mean and maximum of its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.weigh = torch.nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Weight features ``(N, C, H, W)``."""
        pooled = torch.cat([features.mean(1, keepdim=True), features.amax(1, keepdim=True)], 1)
        return features * torch.sigmoid(self.weigh(pooled))


class SpatialAttentionUNet(torch.nn.Module):
    """2-D SA-UNet, from ``(N, 1, S, S)`` to logits ``(N, C, S, S)``.

    Parameters
    ----------
    out_channels : int
        Structures plus background.
    widths : tuple of int
        Channels per level; the input's side must be divisible by ``2**(len(widths) - 1)``.
    dropout : float
        Probability of dropping a feature in training.

    References
    ----------
    Guo et al. 2020, arXiv:2004.03696; with dropout in place of DropBlock.
    """

    def __init__(
        self, out_channels: int, *, widths: tuple[int, ...] = (32, 64, 128, 256, 512), dropout: float = 0.1
    ) -> None:
        super().__init__()
        block: dict[str, Any] = {"act": _ACTIVATION, "norm": "batch", "bias": False, "dropout": dropout}
        self.first = TwoConv(2, 1, widths[0], **block)
        self.down = torch.nn.ModuleList(Down(2, a, b, **block) for a, b in pairwise(widths))
        self.attention = SpatialAttention()
        self.up = torch.nn.ModuleList(
            UpCat(2, deep, shallow, shallow, halves=False, **block)
            for shallow, deep in reversed(list(pairwise(widths)))
        )
        self.last = torch.nn.Conv2d(widths[0], out_channels, kernel_size=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Compute logits ``(N, C, S, S)``."""
        levels = [self.first(images)]
        for down in self.down:
            levels.append(down(levels[-1]))
        features = self.attention(levels.pop())
        for up in self.up:
            features = up(features, levels.pop())
        logits: torch.Tensor = self.last(features)
        return logits
