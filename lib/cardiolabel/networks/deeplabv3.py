"""DeepLabV3 with a ResNet-101, torchvision's."""

from __future__ import annotations

import importlib
import re
import sys
from typing import Any

import torch

from cardiolabel.networks.grey import GreyToThree

_operators: list[Any] = []
"""Operator libraries that must live as long as the process."""


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
    segmentation = _torchvision("torchvision.models.segmentation")
    backbone = "IMAGENET1K_V2" if pretrained else None
    network = segmentation.deeplabv3_resnet101(
        weights=None, weights_backbone=backbone, num_classes=out_channels
    )
    return GreyToThree(_Out(network))


def _torchvision(module: str) -> Any:
    """Import from torchvision, also where its wheel was built for another PyTorch than the one here.

    PyPI's wheel then cannot load its compiled operators and fails to import, although no network needs
    them. Naming each missing operator, without an implementation, is enough.
    """
    for _ in range(50):
        try:
            return importlib.import_module(module)
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None:
                raise
            library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
            library.define(f"{missing[1]}(Tensor unused) -> Tensor")
            _operators.append(library)
            for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
                del sys.modules[name]
    raise ImportError(f"{module} cannot be imported beside this PyTorch")
