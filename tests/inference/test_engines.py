"""Every engine gives the same masks, and a cached network is never mistaken for another."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from cardiolabel.datasets.phantom import write_sample
from cardiolabel.domain import Method
from cardiolabel.errors import InputError
from cardiolabel.inference.engines import choose, openvino_engine
from cardiolabel.inference.engines.choose import ENGINE_VARIABLE, engine_for
from cardiolabel.inference.engines.openvino_engine import CACHE_VARIABLE, OpenVinoEngine
from cardiolabel.inference.engines.threads import leave_cores_to
from cardiolabel.inference.engines.torch_engine import TorchEngine
from cardiolabel.inference.predictor import Predictor
from cardiolabel.models.models import Models, load
from cardiolabel.networks.lite_unet import lite_unet
from cardiolabel.networks.registry import build
from cardiolabel.studies.studies import Studies

from .models import ARGUMENTS, save_tiny_model

WEIGHTS = Path(__file__).parents[2] / "apps" / "cardiac_echo" / "model"

needs_openvino = pytest.mark.skipif(
    not openvino_engine.is_installed(), reason="needs OpenVINO: pip install 'cardiolabel[openvino]'"
)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build("unet", ARGUMENTS).eval()


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(0).random((3, 1, 64, 64), dtype=np.float32)


def converted(network: torch.nn.Module, key: str = "tiny") -> OpenVinoEngine:
    return OpenVinoEngine(lambda: network, key=key, size_px=64)


def never() -> torch.nn.Module:
    raise AssertionError("converted before: the network is not needed")


@needs_openvino
def test_a_network_without_parts_runs_in_fp32(network: torch.nn.Module, frames: np.ndarray) -> None:
    engine = converted(network)
    assert engine.name == "openvino cpu fp32"
    np.testing.assert_allclose(engine.logits(frames), TorchEngine(network).logits(frames), atol=1e-4)


@needs_openvino
def test_single_and_batched_frames_give_equal_logits(network: torch.nn.Module, frames: np.ndarray) -> None:
    engine = converted(network)
    alone = np.concatenate([engine.logits(frame[None]) for frame in frames])
    assert np.array_equal(engine.logits(frames), alone)


@needs_openvino
def test_two_parts_compute_the_same_as_the_whole_network(frames: np.ndarray) -> None:
    torch.manual_seed(0)
    network = lite_unet(4, lite=0).eval()
    engine, exact = converted(network, "lite"), TorchEngine(network).logits(frames)
    assert np.abs(engine.logits(frames) - exact).max() < 0.03 * np.abs(exact).max()


@needs_openvino
def test_a_network_is_converted_once(network: torch.nn.Module, frames: np.ndarray) -> None:
    first = converted(network).logits(frames)
    again = OpenVinoEngine(never, key="tiny", size_px=64)
    assert np.array_equal(again.logits(frames), first)


@needs_openvino
def test_a_damaged_file_is_converted_again(
    network: torch.nn.Module, frames: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    first = converted(network).logits(frames)
    (file,) = tmp_path.rglob("*.xml")
    file.write_text(file.read_text()[:200])
    assert np.array_equal(converted(network).logits(frames), first)
    assert np.array_equal(OpenVinoEngine(never, key="tiny", size_px=64).logits(frames), first)


@needs_openvino
def test_an_unwritable_cache_only_costs_time(
    network: torch.nn.Module,
    frames: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        engine = converted(network)
    assert "cannot be cached" in caplog.text
    np.testing.assert_allclose(engine.logits(frames), TorchEngine(network).logits(frames), atol=1e-4)


@pytest.mark.long
@needs_openvino
def test_openvino_sends_no_telemetry(tmp_path: Path) -> None:
    """Its import alone would send a message and write an identifier into the home directory."""
    program = """
import sys
import torch
from cardiolabel.inference.engines.openvino_engine import OpenVinoEngine
from cardiolabel.networks.registry import build
network = build("unet", {arguments!r}).eval()
engine = OpenVinoEngine(lambda: network, key="0" * 64, size_px=32, keep=False)
assert not sys.modules["openvino_telemetry"]
"""
    subprocess.run(
        [sys.executable, "-c", program.format(arguments=ARGUMENTS)],
        env={**os.environ, "HOME": str(tmp_path), CACHE_VARIABLE: str(tmp_path / "cache")},
        check=True,
    )
    assert not (tmp_path / "intel").exists()


@pytest.mark.long
@needs_openvino
@pytest.mark.skipif(not (WEIGHTS / "camus.safetensors").exists(), reason="needs the shipped weights")
def test_engines_agree_on_masks_and_ejection_fractions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sample(tmp_path, seed=1)  # of seed 0, a pixel at the annulus moves one EF by 0.25
    predictors: dict[str, Predictor] = {}
    for engine in ("torch", "openvino"):
        monkeypatch.setenv(ENGINE_VARIABLE, engine)
        predictors[engine] = load("camus", WEIGHTS)
    studies = {name: Studies(tmp_path, models=Models.of(each)) for name, each in predictors.items()}
    for patient in studies["torch"].patients():
        for record in studies["torch"].of_patient(patient):
            ours, theirs = (study.predict(record.image_id).masks for study in studies.values())
            for value in (1, 2, 3):
                overlap = ((ours == value) & (theirs == value)).sum()
                assert 2 * overlap >= 0.999 * ((ours == value).sum() + (theirs == value).sum())
        efs = [
            [row.ef_pct for row in study.measure(patient).study.rows if row.method is Method.BIPLANE]
            for study in studies.values()
        ]
        assert efs[0] == pytest.approx(efs[1], abs=0.1)


def test_the_requested_engine_is_used(network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENGINE_VARIABLE, "torch")
    assert isinstance(engine_for(lambda: network, key="tiny", size_px=64), TorchEngine)


@pytest.mark.parametrize(("wanted", "said"), [("onnx", "expected one of"), ("openvino", "not installed")])
def test_an_unknown_or_missing_engine_is_refused(
    wanted: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENGINE_VARIABLE, wanted)
    monkeypatch.setattr(openvino_engine, "is_installed", lambda: False)
    with pytest.raises(InputError, match=said):
        engine_for(never, key="tiny", size_px=64)


def test_pytorch_is_used_without_openvino(network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    monkeypatch.setattr(openvino_engine, "is_installed", lambda: False)
    assert isinstance(engine_for(lambda: network, key="tiny", size_px=64), TorchEngine)


def test_the_engine_name_gives_device_and_precision(tmp_path: Path) -> None:
    save_tiny_model(tmp_path)
    library, device, precision = load("tiny", tmp_path).engine.name.split()
    assert library in ("torch", "openvino")
    assert device in ("cpu", "cuda")
    assert precision in ("fp32", "bf16", "fp16")


@needs_openvino
def test_a_partly_written_network_is_not_used(
    frames: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    torch.manual_seed(0)
    network = lite_unet(4, lite=0).eval()
    first = converted(network, "lite").logits(frames)
    for file in tmp_path.rglob("part1of2.*"):
        file.unlink()
    assert np.array_equal(converted(network, "lite").logits(frames), first)
    assert not [path for path in (tmp_path / "openvino").iterdir() if path.name.startswith(".")]


@needs_openvino
def test_without_a_home_directory_each_start_converts_the_network(
    network: torch.nn.Module,
    frames: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: Path("~/.cache/cardiolabel"))
    with caplog.at_level(logging.WARNING):
        result = converted(network).logits(frames)
    assert CACHE_VARIABLE in caplog.text
    np.testing.assert_allclose(result, TorchEngine(network).logits(frames), atol=1e-4)


def test_pytorch_computes_networks_that_openvino_cannot_convert(
    network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unable(*_: object, **__: object) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    monkeypatch.setattr(openvino_engine, "is_installed", lambda: True)
    monkeypatch.setattr(choose, "OpenVinoEngine", unable)
    with caplog.at_level(logging.WARNING):
        assert isinstance(engine_for(lambda: network, key="tiny", size_px=64), TorchEngine)
    assert "using PyTorch" in caplog.text


def test_openvino_starts_once_and_gets_its_first_array_before_any_thread() -> None:
    openvino = pytest.importorskip("openvino")
    with (
        pytest.MonkeyPatch.context() as patched,
        ThreadPoolExecutor(8) as pool,
    ):
        seen: list[str] = []
        tensor = openvino.Tensor

        def first(*values: object, **named: object) -> object:
            seen.append(threading.current_thread().name)
            return tensor(*values, **named)

        patched.setattr(openvino, "Tensor", first)
        openvino_engine._started.cache_clear()
        cores = set(pool.map(lambda _: id(openvino_engine._core()), range(32)))
    assert len(cores) == 1 and len(seen) == 1


@pytest.mark.parametrize(("name", "threads"), [("openvino cpu bf16", 1), ("torch cpu fp32", 2)])
def test_pytorch_gets_one_thread_beside_openvino_only(name: str, threads: int) -> None:
    class Named:
        def __init__(self) -> None:
            self.name = name

        def logits(self, frames: np.ndarray) -> np.ndarray:
            return frames

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        leave_cores_to(Named())
        with ThreadPoolExecutor(1) as pool:  # as requests are answered
            assert pool.submit(torch.get_num_threads).result() == threads
    finally:
        torch.set_num_threads(before)
