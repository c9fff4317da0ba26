"""Weights files (``<name>.safetensors``, fp16) and the model cards beside them (``<name>.json``)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from cardiolabel.errors import CorruptWeightsError, MissingWeightsError
from cardiolabel.io.files import atomic
from cardiolabel.networks.registry import build

_UNFIT = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RuntimeError, SafetensorError)


@dataclass(frozen=True)
class ModelCard:
    """Describes a weights file: how to rebuild the network, its training data and its accuracy.

    Parameters
    ----------
    network, arguments : str, dict
        Name and arguments of the builder in `cardiolabel.networks.registry`.
    recipe : str
        Preprocessing recipe.
    size_px : int or None
        Side of the input, where it differs from the recipe's.
    sha256 : str
        Checksum of the weights file.
    metrics : dict
        Results on patients that were never trained on, by the name of the test data.
    intervals : dict
        Calibrations of the EF interval, by method and convention.
    pictures : dict
        Subspace of the training images, for the out-of-distribution check.
    views : dict
        Direction that tells the model's views apart, for the check of swapped views.
    """

    name: str
    version: str
    network: str
    arguments: dict[str, Any]
    recipe: str
    trained_on: str
    licence: str
    settings: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""
    size_px: int | None = None
    notes: str = ""
    intervals: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, Any] = field(default_factory=dict)
    views: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Convert to types that JSON can hold."""
        return dataclasses.asdict(self)


def save_model(network: torch.nn.Module, card: ModelCard, *, folder: Path) -> ModelCard:
    """Write weights as fp16 and the model card; returns the card with its checksum.

    Raises
    ------
    OSError
        The folder cannot be written; earlier files stay intact.
    """
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous().cpu()
        for name, tensor in _tensors(network).items()
    }
    blob = save(tensors)
    card = dataclasses.replace(card, sha256=hashlib.sha256(blob).hexdigest())
    with atomic(folder / f"{card.name}.safetensors") as temporary:
        temporary.write_bytes(blob)
    write_card(card, folder=folder)
    return card


def write_card(card: ModelCard, *, folder: Path) -> None:
    """Write ``<name>.json``; an OSError leaves the earlier card intact."""
    with atomic(folder / f"{card.name}.json") as temporary:
        temporary.write_text(json.dumps(card.as_dict(), indent=2) + "\n", encoding="utf-8")


def read_card(name: str, folder: Path) -> ModelCard:
    """Read a model's card.

    Raises
    ------
    MissingWeightsError
        The card or the weights file is missing.
    CorruptWeightsError
        The card is not valid.
    """
    path, weights = folder / f"{name}.json", folder / f"{name}.safetensors"
    if not (path.is_file() and weights.is_file()):
        raise MissingWeightsError(
            f"no weights for model {name}: expected {weights.name} and {path.name} in {folder.name}/; "
            "train it or restore the files that ship with the app"
        )
    try:
        return ModelCard(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise CorruptWeightsError(f"{path.name} is not a model card: {error}") from error


def load_model(name: str, folder: Path) -> tuple[torch.nn.Module, ModelCard]:
    """Rebuild a network in evaluation mode, fp32, after checking its file against the card.

    Raises
    ------
    MissingWeightsError, CorruptWeightsError
        As `read_card`; also where the checksum, names or shapes do not match.
    """
    blob, card = read_weights(name, folder)
    return rebuild(blob, card), card


def read_weights(name: str, folder: Path) -> tuple[bytes, ModelCard]:
    """Read a weights file and its card, and compare the checksum; raises like `read_card`."""
    card = read_card(name, folder)
    blob = (folder / f"{name}.safetensors").read_bytes()
    if hashlib.sha256(blob).hexdigest() != card.sha256:
        raise CorruptWeightsError(
            f"{name}.safetensors is not the file that its card describes (sha256 differs); restore it"
        )
    return blob, card


def rebuild(blob: bytes, card: ModelCard) -> torch.nn.Module:
    """Rebuild the network of a weights file in evaluation mode, fp32.

    Raises
    ------
    CorruptWeightsError
        Names or shapes of tensors do not fit the network on the card.
    """
    try:
        stored = load(blob)
        with torch.device("meta"):  # no memory yet: a damaged card could ask for any amount
            _check(build(card.network, card.arguments), stored)
        network = build(card.network, card.arguments)
        _fill(network, stored)
    except _UNFIT as error:
        raise CorruptWeightsError(f"{card.name}.safetensors does not fit its card: {error}") from error
    return network.float().eval()


def _tensors(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """List every tensor once; DynUNet's state_dict repeats shared tensors."""
    return {name: tensor.detach() for name, tensor in (*network.named_parameters(), *network.named_buffers())}


def _check(network: torch.nn.Module, stored: dict[str, torch.Tensor]) -> None:
    own = _tensors(network)
    if stored.keys() != own.keys():
        raise RuntimeError(f"its {len(stored)} tensors are not the {len(own)} of the network")
    for name, tensor in own.items():
        if tensor.shape != stored[name].shape:
            raise RuntimeError(f"{name} has shape {tuple(stored[name].shape)}, not {tuple(tensor.shape)}")


def _fill(network: torch.nn.Module, stored: dict[str, torch.Tensor]) -> None:
    for name, tensor in _tensors(network).items():
        tensor.copy_(stored[name])
