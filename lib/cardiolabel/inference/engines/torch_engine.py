"""PyTorch, on a GPU if there is one."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

_FRAMES_AT_ONCE = {"cuda": 64, "cpu": 8}


class TorchEngine:
    """Computes a network in fp16 on a GPU or in fp32 on the CPU, with channels last.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def name(self) -> str:
        """Library, device and precision, as in `Engine.name`."""
        return "torch cuda fp16" if self._device.type == "cuda" else "torch cpu fp32"

    @torch.inference_mode()
    def logits(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute logits, as in `Engine.logits`."""
        at_once = _FRAMES_AT_ONCE[self._device.type]
        chunks = [self._logits(frames[start : start + at_once]) for start in range(0, len(frames), at_once)]
        return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)

    def _logits(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        batch = torch.from_numpy(frames).to(self._device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, torch.float16, enabled=self._device.type == "cuda"):
            outputs: torch.Tensor = self._network(batch)
        logits: NDArray[np.float32] = outputs.float().cpu().numpy()
        return logits
