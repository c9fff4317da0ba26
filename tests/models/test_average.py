"""The mean of models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cardiolabel.errors import DatasetError
from cardiolabel.models.average import average_models
from cardiolabel.networks.registry import build
from cardiolabel.networks.weights import ModelCard, load_model, save_model

ARGUMENTS = {"out_channels": 4, "widths": [4, 6, 8]}


def model(folder: Path, *, seed: int, version: str, recipe: str = "camus") -> Path:
    torch.manual_seed(seed)
    card = ModelCard(
        "tiny",
        version,
        "unet",
        ARGUMENTS,
        recipe,
        trained_on=f"noise {seed}",
        licence="none",
        settings={"images": seed},
        metrics={"noise": 1},
    )
    save_model(build("unet", ARGUMENTS), card, folder=folder)
    return folder


def test_every_weight_is_the_mean(tmp_path: Path) -> None:
    folders = [model(tmp_path / str(seed), seed=seed, version=f"{seed}.0") for seed in (1, 2)]
    card = average_models("tiny", folders, out=tmp_path / "mean", version="3.0")
    first, second = (load_model("tiny", folder)[0].state_dict() for folder in folders)
    result, read = load_model("tiny", tmp_path / "mean")
    assert read == card
    for key, tensor in result.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (first[key] + second[key]) / 2, atol=1e-3, rtol=1e-3)
    assert (card.version, card.metrics) == ("3.0", {})
    assert [text[:3] for text in card.settings["mean_of"]] == ["1.0", "2.0"]
    assert card.settings["images"] == 2
    assert (card.trained_on, card.licence) == ("noise 1; noise 2", "none")


def test_one_model_has_no_mean(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="two models or more"):
        average_models("tiny", [model(tmp_path, seed=1, version="1.0")], out=tmp_path, version="2.0")


def test_models_of_different_recipes_have_no_mean(tmp_path: Path) -> None:
    folders = [
        model(tmp_path / "echo", seed=1, version="1.0"),
        model(tmp_path / "lv", seed=2, version="1.0", recipe="lv"),
    ]
    with pytest.raises(DatasetError, match="different networks or recipes"):
        average_models("tiny", folders, out=tmp_path / "mean", version="2.0")
    assert not (tmp_path / "mean").exists()
