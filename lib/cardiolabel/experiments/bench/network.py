"""The bare network: what everything else is compared with."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cardiolabel.inference.engines.engine import Engine
from cardiolabel.inference.predictor import FRAMES_AT_ONCE

_PAUSE_S = 0.03
"""Threads of the work before still spin for a while."""


def forward_s(engine: Engine, frames: NDArray[np.float32]) -> float:
    """Return the seconds that an engine takes for frames ``(N, 1, S, S)``, in pieces as the pipeline gives
    them.
    """
    start_s = time.perf_counter()
    for start in range(0, len(frames), FRAMES_AT_ONCE):
        engine.logits(frames[start : start + FRAMES_AT_ONCE])
    return time.perf_counter() - start_s


def in_turns(rounds: int, works: Sequence[Callable[[], float]]) -> list[float]:
    """Return the median of what each work returns, all of them in turns, so that other load costs all of them
    alike.
    """
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for times, work in zip(taken, works, strict=True):
            time.sleep(_PAUSE_S)
            times.append(work())
    return [statistics.median(times) for times in taken]
