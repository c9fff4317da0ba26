"""How many cores networks may take."""

from __future__ import annotations

import torch

from cardiolabel.inference.engines import openvino_engine


def limit_threads(count: int) -> None:
    """Hold every network that this process loads from now on to ``count`` threads."""
    torch.set_num_threads(count)
    if openvino_engine.is_installed():
        openvino_engine.limit_threads(count)
