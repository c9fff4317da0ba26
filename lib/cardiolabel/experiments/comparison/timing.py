"""Timing of networks side by side, so that other load affects all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch

REFERENCE, REFERENCE_PX = "unet", 256
"""Network and input size that times are compared with: the plain U-Net."""


@torch.inference_mode()
def time_networks(
    networks: Mapping[str, tuple[torch.nn.Module, int]],
    *,
    repeats: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, float]:
    """Return the median time of one frame in ms, in fp32 on the CPU with torch's present threads.

    Parameters
    ----------
    networks : mapping of str to (torch.nn.Module, int)
        Networks in evaluation mode with the side of their input in pixels.
    repeats : int
        Rounds in which every network has its turn; one more comes before and is not counted.
    on_progress : callable
        Told rounds done and in all.
    """
    ready = {
        name: (
            network.cpu().to(memory_format=torch.channels_last),  # type: ignore[call-overload]
            torch.rand(1, 1, side, side).contiguous(memory_format=torch.channels_last),
        )
        for name, (network, side) in networks.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in ready}
    for done in range(repeats + 1):
        for name, (network, frame) in ready.items():
            start_s = time.perf_counter()
            network(frame)
            taken[name].append(1e3 * (time.perf_counter() - start_s))
        on_progress(done, repeats)
    return {name: statistics.median(times[1:]) for name, times in taken.items()}
