"""The interface of engines."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """Computes one network; safe to call from several threads."""

    @property
    def name(self) -> str:
        """Library, device and precision, as results carry them."""

    def logits(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits ``(N, C, S, S)`` of network input ``(N, 1, S, S)``; one frame as fast as it can be."""
