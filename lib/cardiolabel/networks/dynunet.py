"""nnU-Net's plain U-Net with deep supervision, built on MONAI's DynUNet."""

from __future__ import annotations

import torch
from monai.networks.nets.dynunet import DynUNet


class DeeplySupervised(torch.nn.Module):
    """Returns all outputs of DynUNet in training, and only the finest in evaluation."""

    def __init__(self, network: DynUNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Return the logits ``(N, C, S, S)``; in training a list of them, the finest first."""
        outputs: torch.Tensor = self.network(images)
        return list(outputs.unbind(1)) if self.training else outputs


def dynunet(
    out_channels: int, *, widths: tuple[int, ...] = (32, 64, 128, 256, 512, 512), heads: int = 3
) -> torch.nn.Module:
    """Build nnU-Net's 2-D U-Net for one grey channel: instance norm, leaky ReLU, deep supervision.

    Parameters
    ----------
    out_channels : int
        Structures plus background.
    widths : tuple of int
        Channels per level; the input's side must be divisible by ``2**(len(widths) - 1)``.
    heads : int
        Number of coarser outputs that training supervises too.

    References
    ----------
    Isensee et al. 2021, doi 10.1038/s41592-020-01008-z.
    """
    levels = len(widths)
    return DeeplySupervised(
        DynUNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=out_channels,
            kernel_size=[3] * levels,
            strides=[1] + [2] * (levels - 1),
            upsample_kernel_size=[2] * (levels - 1),
            filters=list(widths),
            norm_name="instance",
            deep_supervision=True,
            deep_supr_num=heads,
        )
    )
