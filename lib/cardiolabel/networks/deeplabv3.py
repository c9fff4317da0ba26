"""DeepLabV3 with a ResNet-101, built on torchvision."""

from __future__ import annotations

import torch

from cardiolabel.networks.grey import GreyToThree
from cardiolabel.networks.torchvision_import import torchvision_module


class _LogitsOnly(torch.nn.Module):
    """Takes the logits out of the dictionary that torchvision's segmentation networks return."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(images)["out"]
        return logits


def deeplabv3(out_channels: int, *, pretrained: bool = False) -> torch.nn.Module:
    """Build DeepLabV3-ResNet101 for one grey channel.

    Parameters
    ----------
    out_channels : int
        Structures plus background.
    pretrained : bool
        Start from ImageNet weights of the ResNet, which PyTorch's hub downloads into its cache unless they
        are there.

    References
    ----------
    Chen et al. 2017, arXiv:1706.05587.
    """
    segmentation = torchvision_module("torchvision.models.segmentation")
    backbone = "IMAGENET1K_V2" if pretrained else None
    network = segmentation.deeplabv3_resnet101(
        weights=None, weights_backbone=backbone, num_classes=out_channels
    )
    return GreyToThree(_LogitsOnly(network))
