"""Every architecture: output shapes, determinism, gradients, saving and loading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cardiolabel.networks.registry import NETWORKS, build
from cardiolabel.networks.weights import ModelCard, load_model, save_model

SMALL: dict[str, dict[str, Any]] = {
    "attention_unet": {"widths": (4, 8, 16)},
    "deeplabv3": {},
    "dynunet": {"widths": (4, 8, 16, 16), "heads": 2},
    "efficientnet_unet": {"backbone": "efficientnet-b0"},
    "lite_unet": {"lite": 0, "widths": (8, 8, 8, 8)},
    "spatial_attention_unet": {"widths": (4, 8, 16)},
    "unet": {"widths": (4, 8, 16)},
}
PARAMETERS_MILLION = {
    "attention_unet": 7.94,
    "deeplabv3": 58.63,
    "dynunet": 20.60,
    "efficientnet_unet": 7.87,
    "lite_unet": 5.45,
    "spatial_attention_unet": 9.24,
    "unet": 3.45,
}


def test_every_network_is_tested() -> None:
    assert NETWORKS.keys() == SMALL.keys() == PARAMETERS_MILLION.keys()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_parameter_count_is_the_documented_one(name: str) -> None:
    count = sum(parameter.numel() for parameter in build(name, {"out_channels": 4}).parameters())
    assert count / 1e6 == pytest.approx(PARAMETERS_MILLION[name], abs=0.01)


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_have_the_images_size_and_every_output_trains(name: str) -> None:
    torch.manual_seed(0)
    network = build(name, {"out_channels": 3, **SMALL[name]}).train()
    result = network(torch.rand(2, 1, 64, 64))
    outputs = result if isinstance(result, list) else [result]
    assert all(logits.shape == (2, 3, 64, 64) for logits in outputs)
    sum(logits.square().mean() for logits in outputs).backward()
    idle = [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.isfinite().all()
    ]
    assert not idle


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_survives_saving_and_loading(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    arguments = {"out_channels": 2, **SMALL[name]}
    network = build(name, arguments).eval()
    card = ModelCard("one", "1", name, arguments, "camus", trained_on="nothing", licence="none")
    save_model(network, card, folder=tmp_path)
    restored, _ = load_model("one", tmp_path)
    images = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        assert (network(images).softmax(1) - restored(images).softmax(1)).abs().max() < 0.02
