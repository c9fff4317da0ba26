"""Weights and card give back the same network; anything else is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from cardiolabel.errors import CorruptWeightsError, MissingWeightsError
from cardiolabel.networks.registry import NETWORKS, build
from cardiolabel.networks.weights import ModelCard, load_model, read_card, save_model

ARGUMENTS = {"out_channels": 4, "widths": [4, 6, 8]}


def card(**changes: Any) -> ModelCard:
    listed: dict[str, Any] = {
        "name": "tiny",
        "version": "0",
        "network": "unet",
        "arguments": ARGUMENTS,
        "recipe": "camus",
        "trained_on": "nothing",
        "licence": "none",
    }
    return ModelCard(**{**listed, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_model(build("unet", ARGUMENTS), card(), folder=tmp_path)
    return tmp_path


def edit_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "tiny.json"
    listed = json.loads(path.read_text())
    change(listed)
    path.write_text(json.dumps(listed))


def replace_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Tamper with the weights and make the card's checksum fit."""
    path = folder / "tiny.safetensors"
    tensors = load(path.read_bytes())
    change(tensors)
    path.write_bytes(save(tensors))
    edit_card(folder, lambda listed: listed.update(sha256=hashlib.sha256(path.read_bytes()).hexdigest()))


def test_loaded_weights_equal_the_saved_ones_in_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = build("unet", ARGUMENTS)
    network(torch.rand(3, 1, 32, 32))  # moves the running statistics of the batch norms
    network.eval()
    saved = save_model(network, card(metrics={"dice": 0.9}), folder=tmp_path)
    restored, result = load_model("tiny", tmp_path)
    assert result == saved and result.metrics == {"dice": 0.9} and len(result.sha256) == 64
    assert not restored.training
    assert {p.dtype for p in restored.parameters()} == {torch.float32}
    frames = torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        expected, got = network(frames).softmax(1), restored(frames).softmax(1)
    assert (expected - got).abs().max() < 0.01
    assert all(
        torch.equal(a.half().float(), b)
        for a, b in zip(network.parameters(), restored.parameters(), strict=True)
    )


def test_the_file_holds_fp16_and_every_tensor_once(folder: Path) -> None:
    stored = load((folder / "tiny.safetensors").read_bytes())
    assert {t.dtype for t in stored.values() if t.is_floating_point()} == {torch.float16}
    network = build("unet", ARGUMENTS)
    assert stored.keys() == {name for name, _ in (*network.named_parameters(), *network.named_buffers())}


@pytest.mark.parametrize("lost", ["tiny.json", "tiny.safetensors"])
def test_a_missing_file(folder: Path, lost: str) -> None:
    (folder / lost).unlink()
    with pytest.raises(MissingWeightsError, match=r"no weights for model tiny.*ship with the app"):
        load_model("tiny", folder)


def test_another_model_is_missing(folder: Path) -> None:
    with pytest.raises(MissingWeightsError, match="no weights for model other"):
        read_card("other", folder)


def test_weights_that_differ_from_the_card_are_refused(folder: Path) -> None:
    path = folder / "tiny.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptWeightsError, match="sha256"):
        load_model("tiny", folder)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"7", b'"card"', b"null", b"\xff\xfe", b'{"name": "tiny"}', b'{"extra": 1}']
)
def test_an_invalid_card_is_refused(folder: Path, content: bytes) -> None:
    (folder / "tiny.json").write_bytes(content)
    with pytest.raises(CorruptWeightsError, match=r"tiny\.json is not a model card"):
        load_model("tiny", folder)


@pytest.mark.parametrize(
    "change",
    [
        {"network": "transformer"},
        {"network": None},
        {"arguments": {"out_channels": 4, "widths": [4, 6, 8, 8]}},
        {"arguments": {"out_channels": 3, "widths": [4, 6, 8]}},
        {"arguments": {"widths": [4, 6, 8]}},
        {"arguments": {"out_channels": 4, "widths": []}},
        {"arguments": {"out_channels": 4, "widths": [4]}},
        {"arguments": {"out_channels": 4, "widths": "wide"}},
        {"arguments": {"out_channels": -1, "widths": [4, 6, 8]}},
        {"arguments": {"colour": True}},
        {"arguments": None},
        {"arguments": [4]},
    ],
    ids=str,
)
def test_a_card_of_another_network_is_refused(folder: Path, change: dict[str, Any]) -> None:
    edit_card(folder, lambda listed: listed.update(change))
    with pytest.raises(CorruptWeightsError):
        load_model("tiny", folder)


def first(tensors: dict[str, torch.Tensor]) -> str:
    return next(name for name, tensor in tensors.items() if tensor.dim() == 4)


TAMPERED: dict[str, Callable[[dict[str, torch.Tensor]], object]] = {
    "renamed": lambda tensors: tensors.update(other=tensors.pop(first(tensors))),
    "removed": lambda tensors: tensors.pop(first(tensors)),
    "added": lambda tensors: tensors.update(other=torch.zeros(2)),
    "reshaped": lambda tensors: tensors.update({first(tensors): tensors[first(tensors)][:1].clone()}),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_tensors_of_other_names_or_shapes_are_refused(folder: Path, kind: str) -> None:
    replace_tensors(folder, TAMPERED[kind])
    with pytest.raises(CorruptWeightsError, match="does not fit its card"):
        load_model("tiny", folder)


def test_a_file_of_another_format_is_refused(folder: Path) -> None:
    content = b"not tensors at all"
    (folder / "tiny.safetensors").write_bytes(content)
    edit_card(folder, lambda listed: listed.update(sha256=hashlib.sha256(content).hexdigest()))
    with pytest.raises(CorruptWeightsError, match="does not fit its card"):
        load_model("tiny", folder)


def test_a_failed_write_keeps_the_old_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*_: object, **__: object) -> int:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="disk full"):
        save_model(build("unet", ARGUMENTS), card(version="1"), folder=folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_registry_builds_what_it_names() -> None:
    assert "unet" in NETWORKS
    network = build("unet", ARGUMENTS).eval()
    assert network(torch.zeros(1, 1, 32, 48)).shape == (1, 4, 32, 48)
    with pytest.raises(KeyError):
        build("nothing", {})


def test_a_card_that_asks_for_terabytes_allocates_nothing(folder: Path) -> None:
    edit_card(folder, lambda listed: listed.update(arguments={"out_channels": 10**11, "widths": [4, 6, 8]}))
    with pytest.raises(CorruptWeightsError, match="does not fit its card"):
        load_model("tiny", folder)
