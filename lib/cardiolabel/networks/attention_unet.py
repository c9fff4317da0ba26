"""U-Net with attention gates on its skip connections, built on MONAI's AttentionUnet."""

from __future__ import annotations

import torch
from monai.networks.nets.attentionunet import AttentionUnet


def attention_unet(
    out_channels: int, *, widths: tuple[int, ...] = (32, 64, 128, 256, 512)
) -> torch.nn.Module:
    """Build a 2-D attention U-Net for one grey channel.

    Parameters
    ----------
    out_channels : int
        Structures plus background.
    widths : tuple of int
        Channels per level; the input's side must be divisible by ``2**(len(widths) - 1)``.

    References
    ----------
    Oktay et al. 2018, arXiv:1804.03999.
    """
    strides = (2,) * (len(widths) - 1)
    return AttentionUnet(2, 1, out_channels, channels=tuple(widths), strides=strides)
