"""Choice of the engine that computes a network."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

import torch

from cardiolabel.errors import InputError
from cardiolabel.inference.engines import openvino_engine
from cardiolabel.inference.engines.engine import Engine
from cardiolabel.inference.engines.openvino_engine import OpenVinoEngine
from cardiolabel.inference.engines.torch_engine import TorchEngine

logger = logging.getLogger(__name__)

ENGINE_VARIABLE = "CARDIOLABEL_ENGINE"
"""``auto``, ``torch`` or ``openvino``."""

ENGINES = ("auto", "torch", "openvino")


def engine_for(
    network: Callable[[], torch.nn.Module], *, key: str, size_px: int, keep: bool = True
) -> Engine:
    """Make the engine that `ENGINE_VARIABLE` names, by default the fastest on this machine.

    ``auto`` means PyTorch on a GPU, else OpenVINO if it is installed, else PyTorch on the CPU.

    Parameters
    ----------
    network : callable
        Builds the network, in evaluation mode.
    key : str
        Identifies the network: its weights, architecture and arguments.
    size_px : int
        Side of the network's input.
    keep : bool
        Cache the converted network for the next start.

    Raises
    ------
    InputError
        The requested engine is unknown or not installed.
    """
    requested = os.environ.get(ENGINE_VARIABLE) or "auto"
    if requested not in ENGINES:
        raise InputError(f"{ENGINE_VARIABLE}={requested!r}: expected one of {', '.join(ENGINES)}")
    installed = openvino_engine.is_installed()
    if requested == "openvino" and not installed:
        raise InputError(f"{ENGINE_VARIABLE}=openvino: not installed; pip install 'cardiolabel[openvino]'")
    if requested == "openvino":
        return OpenVinoEngine(network, key=key, size_px=size_px, keep=keep)
    if requested == "auto" and installed and not torch.cuda.is_available():
        try:
            return OpenVinoEngine(network, key=key, size_px=size_px, keep=keep)
        except (RuntimeError, ImportError) as error:
            logger.warning("OpenVINO cannot compute this network; using PyTorch: %s", error)
    return TorchEngine(network())
