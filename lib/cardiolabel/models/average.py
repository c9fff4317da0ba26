"""One model whose weights are the mean of several of the same training line."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch

from cardiolabel.errors import DatasetError
from cardiolabel.networks.weights import ModelCard, load_model, save_model


def average_models(name: str, folders: Sequence[Path], *, out: Path, version: str) -> ModelCard:
    """Write the mean of models of one name; the last one's card describes it, without its results.

    Parameters
    ----------
    name : str
    folders : sequence of Path
        At least two, each with ``<name>.safetensors`` and its card. One should have been started with the
        weights of another, else their mean is not a model.
    out : Path
        Created where missing.
    version : str
        Of the mean.

    Raises
    ------
    DatasetError
        Fewer than two, or models of different networks or recipes.
    MissingWeightsError, CorruptWeightsError
        As `load_model`.
    OSError
        ``out`` cannot be written.

    References
    ----------
    Wortsman et al. 2022, Model soups, arXiv:2203.05482.
    """
    if len(folders) < 2:
        raise DatasetError("averaging takes two models or more")
    loaded = [load_model(name, folder) for folder in folders]
    cards = [card for _, card in loaded]
    kinds = {(card.network, str(sorted(card.arguments.items())), card.recipe, card.size_px) for card in cards}
    if len(kinds) > 1:
        raise DatasetError(f"models {name} are of different networks or recipes: they have no mean")
    states = [network.state_dict() for network, _ in loaded]
    network = loaded[-1][0]
    network.load_state_dict({key: _mean([state[key] for state in states]) for key in states[-1]})
    settings = {
        **cards[-1].settings,
        "mean_of": [f"{card.version}, sha256 {card.sha256[:12]}" for card in cards],
    }
    card = dataclasses.replace(
        cards[-1],
        version=version,
        settings=settings,
        metrics={},
        notes="",
        trained_on="; ".join(dict.fromkeys(card.trained_on for card in cards)),
        licence="; ".join(dict.fromkeys(card.licence for card in cards)),
    )
    return save_model(network, card, folder=out)


def _mean(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Average float tensors; integer counters keep the last model's value."""
    return torch.stack(tensors).mean(0) if tensors[0].is_floating_point() else tensors[-1]
