"""Every recipe that ships says whose it is, and its settings go together in a step of training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cardiolabel.geometry.landmarks import NAMES
from cardiolabel.networks.registry import build
from cardiolabel.training import fit as fitting
from cardiolabel.training import training_recipe
from cardiolabel.training.samples import Samples
from cardiolabel.training.training_recipe import TrainingRecipe

SIDE_PX, BATCH = 64, 2
PUBLISHED = {
    "acdc_unet",
    "attention_unet",
    "camus_deeplabv3",
    "camus_efficientnet_unet",
    "echonet_deeplabv3",
    "nnunet",
    "sunnybrook_spatial_attention",
}


def network_of(recipe: TrainingRecipe) -> torch.nn.Module:
    """As training builds it, but from random weights: nothing is downloaded or installed for a test."""
    values = {"out_channels": recipe.form.channels, **recipe.arguments}
    return build(recipe.network, {**values, "pretrained": False} if "pretrained" in values else values)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_published_recipe_names_its_source_and_what_differs(name: str) -> None:
    recipe = training_recipe.read(name)
    assert any(link in recipe.source for link in ("github.com/", "arXiv:"))
    assert any(word in recipe.source for word in ("Differs:", "not published"))
    assert recipe.size_px and not recipe.arguments.get("pretrained")


def hearts(structures: int) -> Samples:
    """A half-ellipsoid as cavity, a wall around it, an atrium below; landmarks anywhere."""
    rows, cols = torch.meshgrid(torch.arange(SIDE_PX), torch.arange(SIDE_PX), indexing="ij")
    away = ((rows - 40) / 30) ** 2 + ((cols - 32) / 12) ** 2
    classes = torch.zeros(SIDE_PX, SIDE_PX, dtype=torch.uint8)
    classes[(away <= 1.6) & (rows <= 40)] = 2
    classes[(away <= 1) & (rows <= 40)] = 1
    classes[(away <= 0.5) & (rows > 40)] = 3
    classes[classes > structures] = 0
    return Samples(
        torch.rand(BATCH, 1, SIDE_PX, SIDE_PX).half(),
        classes.expand(BATCH, -1, -1),
        points=10 + 40 * torch.rand(BATCH, len(NAMES), 2),
    )


@pytest.mark.parametrize("name", training_recipe.names())
def test_a_recipe_takes_a_step(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting._Run, "save", lambda run: None)  # some are gigabytes
    recipe = replace(training_recipe.read(name), images=BATCH, batch=BATCH, warmup=0)
    torch.manual_seed(0)
    network = network_of(recipe)
    before = {name: each.detach().clone() for name, each in network.named_parameters()}
    samples = hearts(len(recipe.form.values) - 1)
    stepped, state = fitting.fit(network, samples, samples, recipe=recipe, checkpoint=tmp_path / "fit.pt")
    assert state.steps == 1 and 0 < state.loss < 100 and state.best_dice is not None
    after = dict(stepped.named_parameters())
    assert all(each.isfinite().all() for each in after.values())
    assert sum(not torch.equal(before[name], each.cpu()) for name, each in after.items()) > 0.9 * len(after)


@pytest.mark.parametrize("name", training_recipe.names())
def test_the_input_fits_the_network(name: str) -> None:
    recipe = training_recipe.read(name)
    assert recipe.form.size_px % 2 ** (len(recipe.arguments.get("widths", range(5))) - 1) == 0
