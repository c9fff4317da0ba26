"""Benchmark of the bare network, to which everything else is compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cardiolabel.inference.engines.engine import Engine
from cardiolabel.inference.predictor import FRAMES_AT_ONCE

_PAUSE_S = 0.03
"""Seconds to wait while threads of earlier work still spin."""


def forward_s(engine: Engine, frames: NDArray[np.float32]) -> float:
    """Time an engine on frames ``(N, 1, S, S)``, in batches as in the pipeline, in seconds."""
    start_s = time.perf_counter()
    for start in range(0, len(frames), FRAMES_AT_ONCE):
        engine.logits(frames[start : start + FRAMES_AT_ONCE])
    return time.perf_counter() - start_s


def in_turns(rounds: int, works: Sequence[Callable[[], float]]) -> list[float]:
    """Return the median of each work's values, all in turns, so that other load affects all alike."""
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for times, work in zip(taken, works, strict=True):
            time.sleep(_PAUSE_S)
            times.append(work())
    return [statistics.median(times) for times in taken]
