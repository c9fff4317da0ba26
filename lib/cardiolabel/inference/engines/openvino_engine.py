"""OpenVINO on the CPU: bf16 where the CPU has it and the network says what must not be rounded."""

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

from cardiolabel.inference.engines.converted_networks import CACHE_VARIABLE, ConvertedNetworks, cache_folder

__all__ = ["CACHE_VARIABLE", "OpenVinoEngine", "is_installed", "limit_threads"]

logger = logging.getLogger(__name__)

_FORMAT = 2
"""Raised whenever a network's ``forward``, ``front`` or ``rest`` changes, or how it is converted."""

_PART = "part{}of{}.xml"

_starting = threading.Lock()

_SPARE_LANES = 1
"""While one lane's frame is handed over, its core computes another's."""


def is_installed() -> bool:
    """Whether OpenVINO can be imported."""
    return importlib.util.find_spec("openvino") is not None


def limit_threads(count: int) -> None:
    """Hold every network compiled from now on to ``count`` threads; the numbers stay the same."""
    _core().set_property("CPU", {"INFERENCE_NUM_THREADS": count})


class OpenVinoEngine:
    """One compiled network: a single frame takes all cores, several share them, one core each.

    A network with the methods ``front`` and ``rest``, which follow each other, runs its rest in bf16 on CPUs
    that have it; any other network runs in fp32.

    Parameters
    ----------
    network : callable
        Gives the network in evaluation mode; called only where it was not converted before.
    key : str
        Tells weights, kind and arguments of this network from all others.
    size_px : int
        Side of its input.
    keep : bool
        Keep what was converted for the next start.
    """

    def __init__(
        self, network: Callable[[], torch.nn.Module], *, key: str, size_px: int, keep: bool = True
    ) -> None:
        self._parts = _models(network, key=key, size_px=size_px, keep=keep)
        has_bf16 = "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self._kinds = ["f32", "bf16" if has_bf16 else "f32"][: len(self._parts)]
        self._alone = _Lane(self._compiled("LATENCY"))
        self._busy = threading.Lock()
        self._lanes: _Lanes | None = None

    @property
    def name(self) -> str:
        """As `Engine.name`."""
        return f"openvino cpu {self._kinds[-1].replace('f32', 'fp32')}"

    def logits(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `Engine.logits`."""
        with self._busy:
            if len(frames) == 1:
                return self._alone(frames)
            self._lanes = self._lanes or _Lanes(self._compiled("THROUGHPUT"))
            return self._lanes(frames)

    def _compiled(self, hint: str) -> list[Any]:
        return [
            _core().compile_model(part, "CPU", {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": kind})
            for part, kind in zip(self._parts, self._kinds, strict=True)
        ]


class _Lane:
    """The parts of a network, each with memory of its own, one feeding the next."""

    def __init__(self, compiled: Sequence[Any]) -> None:
        self._requests = [part.create_infer_request() for part in compiled]

    def __call__(self, frame: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits ``(1, C, S, S)`` of one frame ``(1, 1, S, S)``."""
        given = [frame]
        for request in self._requests:
            request.infer(given, share_inputs=True)
            given = [tensor.data for tensor in request.output_tensors]
        return given[0].copy()


class _Lanes:
    """As many lanes side by side as the compiled parts work best with, and one more."""

    def __init__(self, compiled: Sequence[Any]) -> None:
        count = compiled[-1].get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") + _SPARE_LANES
        self._free: queue.SimpleQueue[_Lane] = queue.SimpleQueue()
        for _ in range(count):
            self._free.put(_Lane(compiled))
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="openvino")

    def __call__(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits ``(N, C, S, S)`` of frames ``(N, 1, S, S)``."""
        return np.concatenate(list(self._pool.map(self._one, frames[:, None])))

    def _one(self, frame: NDArray[np.float32]) -> NDArray[np.float32]:
        lane = self._free.get()
        try:
            return lane(frame)
        finally:
            self._free.put(lane)


def _core() -> Any:
    """OpenVINO, ready for several threads."""
    with _starting:
        return _started()


@cache
def _openvino() -> Any:
    """The package, imported without its telemetry.

    Importing OpenVINO sends a message to Google Analytics for Intel and writes an identifier into the user's
    home; without the package ``openvino_telemetry`` it does neither.
    """
    sys.modules.setdefault("openvino_telemetry", cast(ModuleType, None))  # importing it then fails
    return importlib.import_module("openvino")


@cache
def _started() -> Any:
    """OpenVINO, with threads bound to no core: reading and cleaning, or other processes, may have it."""
    openvino = _openvino()
    core = openvino.Core()
    core.set_property("CPU", {"ENABLE_CPU_PINNING": False})
    # The first array that its bindings see must not come from two threads at once: they wait for each other
    # for ever, one with Python's lock and one with the bindings' own.
    openvino.Tensor(np.zeros(1, dtype=np.float32)).data.sum()
    return core


def _models(network: Callable[[], torch.nn.Module], *, key: str, size_px: int, keep: bool) -> list[Any]:
    """The converted parts, from the cache or new; without a cache, new at each start."""
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
        logger.warning("the converted model is not kept, each start converts it again: %s", error)
    return _read(files or _converted(network(), size_px))


def _read(files: dict[str, bytes]) -> list[Any]:
    names = sorted(name for name in files if name.endswith(".xml"))
    return [
        _core().read_model(model=files[name], weights=files[name.removesuffix(".xml") + ".bin"])
        for name in names
    ]


def _converted(network: torch.nn.Module, size_px: int) -> dict[str, bytes]:
    """The files of a network's parts."""
    with tempfile.TemporaryDirectory() as elsewhere:
        drafted = Path(elsewhere) / "model"
        _convert(network, drafted, size_px)
        return {path.name: path.read_bytes() for path in drafted.iterdir()}


def _convert(network: torch.nn.Module, folder: Path, size_px: int) -> None:
    """Write a network's parts."""
    openvino = _openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    frontend = FrontEndManager().load_by_framework("pytorch")
    given: tuple[torch.Tensor, ...] = (torch.zeros(1, 1, size_px, size_px),)
    folder.mkdir()
    methods = _methods(network)
    for number, method in enumerate(methods):
        part = _Part(network, method)
        with torch.inference_mode(), warnings.catch_warnings():
            # It traces with torch.jit, which says that it is to be replaced.
            warnings.simplefilter("ignore", DeprecationWarning)
            decoder = TorchScriptPythonDecoder(part, example_input=given, trace_kwargs={"check_trace": False})
            model = frontend.convert(frontend.load(decoder))
            model.reshape({index: list(tensor.shape) for index, tensor in enumerate(given)})
            found = part(*given)
            given = found if isinstance(found, tuple) else (found,)
        openvino.save_model(model, folder / _PART.format(number, len(methods)), compress_to_fp16=False)


def _methods(network: Any) -> list[Callable[..., Any]]:
    """What is computed one after the other."""
    return [network.front, network.rest] if hasattr(network, "front") else [network]


class _Part(torch.nn.Module):
    """A method of a network as a module, as the conversion wants it."""

    def __init__(self, network: torch.nn.Module, method: Callable[..., Any]) -> None:
        super().__init__()
        self.network, self._method = network, method
        self.eval()

    def forward(self, *given: torch.Tensor) -> Any:
        return self._method(*given)
