"""A plain U-Net of few channels, built on MONAI's DynUNet."""

from __future__ import annotations

import torch
from monai.networks.nets.dynunet import DynUNet


def unet(out_channels: int, *, widths: tuple[int, ...] = (24, 48, 96, 160, 160, 160)) -> torch.nn.Module:
    """Build a 2-D U-Net for one grey channel: 3x3 convolutions, batch norm, leaky ReLU.

    Parameters
    ----------
    out_channels : int
        Structures plus background.
    widths : tuple of int
        Channels per level; the input's side must be divisible by ``2**(len(widths) - 1)``.

    References
    ----------
    Isensee et al., nnU-Net, doi 10.1038/s41592-020-01008-z.
    """
    levels = len(widths)
    return DynUNet(
        spatial_dims=2,
        in_channels=1,
        out_channels=out_channels,
        kernel_size=[3] * levels,
        strides=[1] + [2] * (levels - 1),
        upsample_kernel_size=[2] * (levels - 1),
        filters=list(widths),
        norm_name="batch",
    )
