"""Registry of network builders by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from cardiolabel.networks.attention_unet import attention_unet
from cardiolabel.networks.deeplabv3 import deeplabv3
from cardiolabel.networks.dynunet import dynunet
from cardiolabel.networks.efficientnet_unet import efficientnet_unet
from cardiolabel.networks.lite_unet import lite_unet
from cardiolabel.networks.spatial_attention_unet import SpatialAttentionUNet
from cardiolabel.networks.unet import unet

NETWORKS: dict[str, Callable[..., torch.nn.Module]] = {
    "attention_unet": attention_unet,
    "deeplabv3": deeplabv3,
    "dynunet": dynunet,
    "efficientnet_unet": efficientnet_unet,
    "lite_unet": lite_unet,
    "spatial_attention_unet": SpatialAttentionUNet,
    "unet": unet,
}
"""Every network maps ``(N, 1, S, S)`` to logits ``(N, C, S, S)``; in training it may return a list of logits,
the finest first."""


def build(name: str, arguments: dict[str, Any]) -> torch.nn.Module:
    """Build a network from the name and arguments on its model card.

    Raises
    ------
    KeyError
        No network of that name.
    """
    return NETWORKS[name](**arguments)
