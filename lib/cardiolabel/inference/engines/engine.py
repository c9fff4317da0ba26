"""The interface of inference engines."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """Computes one network; safe to call from several threads."""

    @property
    def name(self) -> str:
        """Library, device and precision, as recorded in results."""

    def logits(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute logits ``(N, C, S, S)`` of input ``(N, 1, S, S)``; a single frame takes all cores."""
