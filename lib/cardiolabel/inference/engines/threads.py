"""How many cores networks may take."""

from __future__ import annotations

import torch

from cardiolabel.inference.engines import openvino_engine
from cardiolabel.inference.engines.engine import Engine


def leave_cores_to(engine: Engine) -> None:
    """Let PyTorch, where it only prepares pictures for an engine with threads of its own, use one thread.

    Its idle threads spin for a while, on the cores that the engine and whatever follows it need.
    """
    if engine.name.startswith("openvino"):
        torch.set_num_threads(1)


def limit_threads(count: int) -> None:
    """Hold every network that this process loads from now on to ``count`` threads."""
    torch.set_num_threads(count)
    if openvino_engine.is_installed():
        openvino_engine.limit_threads(count)
