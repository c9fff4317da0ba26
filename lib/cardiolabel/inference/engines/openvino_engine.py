"""OpenVINO on the CPU, with bf16 for the parts of a network that tolerate it."""

from __future__ import annotations

import importlib.util
import logging
import queue
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from cardiolabel.inference.engines.converted_networks import ConvertedNetworks
from cardiolabel.system.user_folders import CACHE_VARIABLE, cache_folder

__all__ = ["CACHE_VARIABLE", "OpenVinoEngine", "is_installed", "limit_threads"]

logger = logging.getLogger(__name__)

_FORMAT = 2
"""Version of the conversion; raise it when a network's ``forward``, ``front`` or ``rest`` changes."""

_PART = "part{}of{}.xml"

_starting = threading.Lock()

_SPARE_LANES = 1
"""Extra lanes that keep every core busy while a finished frame is copied out."""


def is_installed() -> bool:
    """Check whether OpenVINO can be imported."""
    return importlib.util.find_spec("openvino") is not None


def limit_threads(count: int) -> None:
    """Limit networks compiled from now on to ``count`` threads; results do not change."""
    _core().set_property("CPU", {"INFERENCE_NUM_THREADS": count})


class OpenVinoEngine:
    """A compiled network: a single frame uses all cores, several frames one core each.

    If a network has the methods ``front`` and ``rest``, ``rest`` runs in bf16 on CPUs that support it; all
    else runs in fp32.

    Parameters
    ----------
    network : callable
        Builds the network, in evaluation mode; called only if no converted copy is cached.
    key : str
        Identifies the network: its weights, architecture and arguments.
    size_px : int
        Side of the network's input.
    keep : bool
        Cache the converted network for the next start.
    """

    def __init__(
        self, network: Callable[[], torch.nn.Module], *, key: str, size_px: int, keep: bool = True
    ) -> None:
        self._parts = _models(network, key=key, size_px=size_px, keep=keep)
        has_bf16 = "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self._precisions = ["f32", "bf16" if has_bf16 else "f32"][: len(self._parts)]
        self._alone = _Lane(self._compiled("LATENCY"))
        self._busy = threading.Lock()
        self._lanes: _Lanes | None = None

    @property
    def name(self) -> str:
        """Library, device and precision, as in `Engine.name`."""
        return f"openvino cpu {self._precisions[-1].replace('f32', 'fp32')}"

    def logits(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute logits, as in `Engine.logits`."""
        with self._busy:
            if len(frames) == 1:
                return self._alone(frames)
            self._lanes = self._lanes or _Lanes(self._compiled("THROUGHPUT"))
            return self._lanes(frames)

    def _compiled(self, hint: str) -> list[Any]:
        return [
            _core().compile_model(
                part, "CPU", {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": precision}
            )
            for part, precision in zip(self._parts, self._precisions, strict=True)
        ]


class _Lane:
    """One copy of the network's parts with buffers of their own, run one after the other."""

    def __init__(self, compiled: Sequence[Any]) -> None:
        self._requests = [part.create_infer_request() for part in compiled]

    def __call__(self, frame: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute logits ``(1, C, S, S)`` of one frame ``(1, 1, S, S)``."""
        tensors = [frame]
        for request in self._requests:
            request.infer(tensors, share_inputs=True)
            tensors = [tensor.data for tensor in request.output_tensors]
        return tensors[0].copy()


class _Lanes:
    """Parallel lanes: the number that OpenVINO recommends, and one more."""

    def __init__(self, compiled: Sequence[Any]) -> None:
        count = compiled[-1].get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") + _SPARE_LANES
        self._free: queue.SimpleQueue[_Lane] = queue.SimpleQueue()
        for _ in range(count):
            self._free.put(_Lane(compiled))
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="openvino")

    def __call__(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute logits ``(N, C, S, S)`` of frames ``(N, 1, S, S)``."""
        return np.concatenate(list(self._pool.map(self._run, frames[:, None])))

    def _run(self, frame: NDArray[np.float32]) -> NDArray[np.float32]:
        lane = self._free.get()
        try:
            return lane(frame)
        finally:
            self._free.put(lane)


def _core() -> Any:
    """Give OpenVINO's core; safe to call from several threads."""
    with _starting:
        return _started()


@cache
def _openvino() -> Any:
    """Import the package without its telemetry.

    Importing OpenVINO sends a message to Google Analytics for Intel and writes an identifier into the user's
    home; without the package ``openvino_telemetry`` it does neither.
    """
    sys.modules.setdefault("openvino_telemetry", cast(ModuleType, None))  # importing it then fails
    return importlib.import_module("openvino")


@cache
def _started() -> Any:
    """Start OpenVINO's core once, without binding its threads to cores, which other work shares."""
    openvino = _openvino()
    core = openvino.Core()
    core.set_property("CPU", {"ENABLE_CPU_PINNING": False})
    # Two threads that pass their first arrays at once deadlock: one holds Python's lock, the other a lock of
    # the bindings. So the first array is passed here.
    openvino.Tensor(np.zeros(1, dtype=np.float32)).data.sum()
    return core


def _models(network: Callable[[], torch.nn.Module], *, key: str, size_px: int, keep: bool) -> list[Any]:
    """Load the converted parts from the cache, or convert the network and cache it."""
    version = _openvino().__version__.partition("-")[0]
    name = f"{key[:32]}-{size_px}-{version}-{_FORMAT}"
    if not keep:
        return _read(_converted(network(), size_px))
    files = None
    try:
        cached = ConvertedNetworks(cache_folder() / "openvino")
        files = cached.read(name)
        if files is None:
            files = _converted(network(), size_px)
            cached.keep(name, files)
    except OSError as error:
        logger.warning("the converted network cannot be cached, so each start converts it again: %s", error)
    return _read(files or _converted(network(), size_px))


def _read(files: dict[str, bytes]) -> list[Any]:
    names = sorted(name for name in files if name.endswith(".xml"))
    return [
        _core().read_model(model=files[name], weights=files[name.removesuffix(".xml") + ".bin"])
        for name in names
    ]


def _converted(network: torch.nn.Module, size_px: int) -> dict[str, bytes]:
    """Convert a network; returns the files of its parts by name."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        _convert(network, folder, size_px)
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def _convert(network: torch.nn.Module, folder: Path, size_px: int) -> None:
    """Convert a network and write its parts into a folder."""
    openvino = _openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    frontend = FrontEndManager().load_by_framework("pytorch")
    inputs: tuple[torch.Tensor, ...] = (torch.zeros(1, 1, size_px, size_px),)
    folder.mkdir()
    methods = _methods(network)
    for number, method in enumerate(methods):
        part = _Part(network, method)
        with torch.inference_mode(), warnings.catch_warnings():
            # The decoder traces with torch.jit, which warns that it is deprecated.
            warnings.simplefilter("ignore", DeprecationWarning)
            decoder = TorchScriptPythonDecoder(
                part, example_input=inputs, trace_kwargs={"check_trace": False}
            )
            model = frontend.convert(frontend.load(decoder))
            model.reshape({index: list(tensor.shape) for index, tensor in enumerate(inputs)})
            outputs = part(*inputs)
            inputs = outputs if isinstance(outputs, tuple) else (outputs,)
        openvino.save_model(model, folder / _PART.format(number, len(methods)), compress_to_fp16=False)


def _methods(network: Any) -> list[Callable[..., Any]]:
    """List the steps of a network, each converted on its own."""
    return [network.front, network.rest] if hasattr(network, "front") else [network]


class _Part(torch.nn.Module):
    """Wraps one method of a network as a module for conversion."""

    def __init__(self, network: torch.nn.Module, method: Callable[..., Any]) -> None:
        super().__init__()
        self.network, self._method = network, method
        self.eval()

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self._method(*inputs)
