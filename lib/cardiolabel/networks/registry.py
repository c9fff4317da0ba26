"""Network names to builders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from cardiolabel.networks.unet import unet

NETWORKS: dict[str, Callable[..., torch.nn.Module]] = {"unet": unet}


def build(name: str, arguments: dict[str, Any]) -> torch.nn.Module:
    """Build a network from the name and arguments stored in its card.

    Raises
    ------
    KeyError
        No network of that name.
    """
    return NETWORKS[name](**arguments)
