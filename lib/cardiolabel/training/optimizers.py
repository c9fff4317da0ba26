"""Optimisers and learning-rate schedules by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch

Build = Callable[[Iterable[torch.nn.Parameter], float, float], torch.optim.Optimizer]

OPTIMIZERS: dict[str, Build] = {
    "adam": lambda parameters, rate, decay: torch.optim.Adam(
        parameters, lr=rate, weight_decay=decay, fused=True
    ),
    "adamw": lambda parameters, rate, decay: torch.optim.AdamW(
        parameters, lr=rate, weight_decay=decay, fused=True
    ),
    "sgd": lambda parameters, rate, decay: torch.optim.SGD(
        parameters, lr=rate, weight_decay=decay, momentum=0.99, nesterov=True
    ),
    "nesterov0.9": lambda parameters, rate, decay: torch.optim.SGD(
        parameters, lr=rate, weight_decay=decay, momentum=0.9, nesterov=True
    ),
    "sgd0.9": lambda parameters, rate, decay: torch.optim.SGD(
        parameters, lr=rate, weight_decay=decay, momentum=0.9
    ),
}
"""``sgd`` is nnU-Net's, Nesterov with momentum 0.99; ``nesterov0.9`` the same with 0.9; ``sgd0.9`` the
plain one."""

SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda share: 1.0,
    "cosine": lambda share: 0.5 + 0.5 * math.cos(math.pi * share),
    "polynomial": lambda share: (1 - share) ** 0.9,
    "step": lambda share: 0.1 ** int(share * 3),
}
"""Factor of the learning rate at a share of the budget; ``step`` divides by ten at each third."""


def rate(base: float, schedule: str, *, warmup: float, share: float) -> float:
    """Return the learning-rate factor at a share of the budget, rising linearly over the first ``warmup`` of
    it.

    >>> round(rate(1.0, "polynomial", warmup=0.1, share=0.05), 3)
    0.477
    """
    ramp = min(1.0, share / warmup) if warmup else 1.0
    return max(base * ramp * SCHEDULES[schedule](min(1.0, share)), 1e-7)
