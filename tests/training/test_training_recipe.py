"""Recipes are read whole or refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardiolabel.errors import DatasetError
from cardiolabel.networks.registry import build
from cardiolabel.preprocessing.recipes import RECIPES
from cardiolabel.training import training_recipe

GOOD = 'source = "x"\ninput = "camus"\nnetwork = "unet"\nimages = 10\n'


@pytest.mark.parametrize("name", training_recipe.names())
def test_every_recipe_that_ships_can_be_built(name: str) -> None:
    recipe = training_recipe.read(name)
    assert recipe.name == name
    classes = len(RECIPES[recipe.input].values)
    assert build(recipe.network, {"out_channels": classes, **recipe.arguments})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("= 3", "not a TOML file"),
        (GOOD + "epochs = 3", "'epochs' is no field of a recipe"),
        (GOOD.replace("unet", "vnet"), "no network 'vnet'"),
        (GOOD.replace("camus", "knee"), "no input 'knee'"),
        (GOOD + 'loss = "l1"', "no loss 'l1'"),
        (GOOD + "batch = 0", "must be positive"),
        ('network = "unet"', "missing"),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(DatasetError, match=reason):
        training_recipe.read(str(path))


def test_an_unknown_recipe_names_those_that_exist() -> None:
    with pytest.raises(DatasetError, match=r"there are: .*camus"):
        training_recipe.read("nothing")
