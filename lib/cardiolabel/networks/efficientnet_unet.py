"""U-Net with an EfficientNet encoder, built on MONAI's FlexibleUNet."""

from __future__ import annotations

import torch
from monai.networks.nets.flexible_unet import FlexibleUNet

from cardiolabel.networks.grey import GreyToThree


def efficientnet_unet(
    out_channels: int, *, backbone: str = "efficientnet-b1", pretrained: bool = False
) -> torch.nn.Module:
    """Build a 2-D U-Net with an EfficientNet encoder for one grey channel.

    Parameters
    ----------
    out_channels : int
        Structures plus background.
    backbone : str
        ``efficientnet-b0`` to ``efficientnet-b8``.
    pretrained : bool
        Start from ImageNet weights, which PyTorch's hub downloads into its cache unless they are there.

    References
    ----------
    Tan and Le 2019, arXiv:1905.11946.
    """
    network = FlexibleUNet(3, out_channels, backbone, pretrained=pretrained)
    for unused in ("_conv_head", "_bn1", "_fc"):  # layers of the classifier
        setattr(network.encoder, unused, torch.nn.Identity())
    return GreyToThree(network)
