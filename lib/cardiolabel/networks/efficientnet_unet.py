"""U-Net with an EfficientNet encoder, MONAI's FlexibleUNet."""

from __future__ import annotations

import torch
from monai.networks.nets.flexible_unet import FlexibleUNet

from cardiolabel.networks.grey import GreyToThree


def efficientnet_unet(
    out_channels: int, *, backbone: str = "efficientnet-b1", pretrained: bool = False
) -> torch.nn.Module:
    """2-D U-Net over an EfficientNet encoder; one grey channel in.

    Parameters
    ----------
    out_channels : int
        Structures plus background.
    backbone : str
        ``efficientnet-b0`` to ``efficientnet-b8``.
    pretrained : bool
        Begin with ImageNet weights, which PyTorch's hub downloads once into its cache; a file that lies
        there already is taken.

    References
    ----------
    Tan and Le 2019, arXiv:1905.11946.
    """
    network = FlexibleUNet(3, out_channels, backbone, pretrained=pretrained)
    for unused in ("_conv_head", "_bn1", "_fc"):  # of the classifier
        setattr(network.encoder, unused, torch.nn.Identity())
    return GreyToThree(network)
