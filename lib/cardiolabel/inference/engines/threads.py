"""Limits on the threads of PyTorch and OpenVINO."""

from __future__ import annotations

import torch

from cardiolabel.inference.engines import openvino_engine
from cardiolabel.inference.engines.engine import Engine


def leave_cores_to(engine: Engine) -> None:
    """Limit PyTorch to one thread if it only prepares images for OpenVINO.

    PyTorch's idle threads spin for a while and would take cores from the engine.
    """
    if engine.name.startswith("openvino"):
        torch.set_num_threads(1)


def limit_threads(count: int) -> None:
    """Limit every network that this process loads from now on to ``count`` threads."""
    torch.set_num_threads(count)
    if openvino_engine.is_installed():
        openvino_engine.limit_threads(count)
