"""Which engine computes a network."""

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
    """The fastest engine here, or the one that `ENGINE_VARIABLE` names.

    ``auto`` is PyTorch where there is a GPU, else OpenVINO where it is installed, else PyTorch.

    Parameters
    ----------
    network : callable
        Gives the network in evaluation mode.
    key : str
        Tells weights, kind and arguments of this network from all others.
    size_px : int
        Side of its input.
    keep : bool
        Keep what was converted for the next start.

    Raises
    ------
    InputError
        The engine asked for is unknown or not installed.
    """
    wanted = os.environ.get(ENGINE_VARIABLE) or "auto"
    if wanted not in ENGINES:
        raise InputError(f"{ENGINE_VARIABLE}={wanted!r}: expected one of {', '.join(ENGINES)}")
    installed = openvino_engine.is_installed()
    if wanted == "openvino" and not installed:
        raise InputError(f"{ENGINE_VARIABLE}=openvino: not installed; pip install 'cardiolabel[openvino]'")
    if wanted == "openvino":
        return OpenVinoEngine(network, key=key, size_px=size_px, keep=keep)
    if wanted == "auto" and installed and not torch.cuda.is_available():
        try:
            return OpenVinoEngine(network, key=key, size_px=size_px, keep=keep)
        except (RuntimeError, ImportError) as error:
            logger.warning("OpenVINO cannot compute this network, PyTorch does: %s", error)
    return TorchEngine(network())
