"""Weights travel with a card: ``<name>.safetensors`` (fp16) and ``<name>.json`` side by side."""

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
    """What a weights file is: how to rebuild the network, what it was trained on, how good it is.

    ``network`` and ``arguments`` rebuild it, ``recipe`` names its preprocessing and ``size_px``, if given,
    another input size than that recipe's, ``sha256`` is of the weights file. ``metrics`` hold figures on
    patients never trained on, by the name of what it was judged on. ``intervals``: calibrations of EF's
    interval, by method and convention; ``pictures``: what the model's pictures look like;
    ``views``: how those of its views differ.
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
        """JSON-safe form."""
        return dataclasses.asdict(self)


def save_model(network: torch.nn.Module, card: ModelCard, *, folder: Path) -> ModelCard:
    """Write weights as fp16 and their card; returns the card with its sha256.

    Raises
    ------
    OSError
        The folder cannot be written; files that were there stay whole.
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
    """Write ``<name>.json``; raises OSError where that cannot be, and leaves the old one whole."""
    with atomic(folder / f"{card.name}.json") as temporary:
        temporary.write_text(json.dumps(card.as_dict(), indent=2) + "\n", encoding="utf-8")


def read_card(name: str, folder: Path) -> ModelCard:
    """Read a model's card.

    Raises
    ------
    MissingWeightsError
        There is no card or no weights file.
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
        As `read_card`; also where sha256, names or shapes do not match.
    """
    blob, card = read_weights(name, folder)
    return rebuild(blob, card), card


def read_weights(name: str, folder: Path) -> tuple[bytes, ModelCard]:
    """The content of a weights file and its card, whose sha256 it has; errors as `read_card`."""
    card = read_card(name, folder)
    blob = (folder / f"{name}.safetensors").read_bytes()
    if hashlib.sha256(blob).hexdigest() != card.sha256:
        raise CorruptWeightsError(f"{name}.safetensors is not the file its card describes (sha256)")
    return blob, card


def rebuild(blob: bytes, card: ModelCard) -> torch.nn.Module:
    """The network of a weights file in evaluation mode, fp32.

    Raises
    ------
    CorruptWeightsError
        Names or shapes are not those of the card's network.
    """
    try:
        stored = load(blob)
        with torch.device("meta"):  # a card could ask for more memory than its file fills
            _check(build(card.network, card.arguments), stored)
        network = build(card.network, card.arguments)
        _fill(network, stored)
    except _UNFIT as error:
        raise CorruptWeightsError(f"{card.name}.safetensors does not fit its card: {error}") from error
    return network.float().eval()


def _tensors(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Every tensor once: DynUNet's state_dict names shared ones twice."""
    return {name: tensor.detach() for name, tensor in (*network.named_parameters(), *network.named_buffers())}


def _check(network: torch.nn.Module, stored: dict[str, torch.Tensor]) -> None:
    own = _tensors(network)
    if stored.keys() != own.keys():
        raise RuntimeError(f"it holds {len(stored)} tensors, the network has {len(own)} of other names")
    for name, tensor in own.items():
        if tensor.shape != stored[name].shape:
            raise RuntimeError(f"{name} has shape {tuple(stored[name].shape)}, not {tuple(tensor.shape)}")


def _fill(network: torch.nn.Module, stored: dict[str, torch.Tensor]) -> None:
    for name, tensor in _tensors(network).items():
        tensor.copy_(stored[name])
