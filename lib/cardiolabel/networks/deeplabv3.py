"""DeepLabV3 with a ResNet-101, torchvision's."""

from __future__ import annotations

import torch

from cardiolabel.networks.grey import GreyToThree
from cardiolabel.networks.torchvision_import import torchvision_module


class _Out(torch.nn.Module):
    """torchvision's segmentation networks answer with a dictionary."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(images)["out"]
        return logits


def deeplabv3(out_channels: int, *, pretrained: bool = False) -> torch.nn.Module:
    """DeepLabV3-ResNet101; one grey channel in.

    Parameters
    ----------
    out_channels : int
        Structures plus background.
    pretrained : bool
        Begin with ImageNet weights of the ResNet, which PyTorch's hub downloads once into its cache; a
        file that lies there already is taken.

    References
    ----------
    Chen et al. 2017, arXiv:1706.05587.
    """
    segmentation = torchvision_module("torchvision.models.segmentation")
    backbone = "IMAGENET1K_V2" if pretrained else None
    network = segmentation.deeplabv3_resnet101(
        weights=None, weights_backbone=backbone, num_classes=out_channels
    )
    return GreyToThree(_Out(network))
