"""Fit a network to prepared arrays: seeded, resumable after a kill, bf16 on CPU, AMP on GPU.

The learning rate follows a cosine over a budget of training time, so a run ends when it should on
any machine. The weights kept are the exponential moving average (EMA) at the end: no checkpoint is
picked by looking at patients held back.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.losses.dice import DiceCELoss

from cardiolabel.io.files import atomic
from cardiolabel.preprocessing.augmentation import EchoAugmentation

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitSettings:
    """How a network is trained; stored in the model card."""

    budget_minutes: float
    batch: int = 12
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup: float = 0.02
    ema_decay: float = 0.996
    seed: int = 0


@dataclass(frozen=True)
class FitProgress:
    """Where a run stands: share of the budget used, images seen, running loss."""

    share: float
    images: int
    loss: float


def fit(
    network: torch.nn.Module,
    images: torch.Tensor,
    *,
    masks: torch.Tensor,
    settings: FitSettings,
    checkpoint: Path,
    on_progress: Callable[[FitProgress], None],
    save_every_s: float = 120.0,
) -> torch.nn.Module:
    """Train ``network`` on images ``(N, 1, S, S)`` and masks ``(N, S, S)``; return its EMA.

    A checkpoint that exists is continued from; it is deleted by nobody here.

    Raises
    ------
    OSError
        The checkpoint cannot be written.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    ema = copy.deepcopy(network).eval()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    generator = torch.Generator().manual_seed(settings.seed)
    state = _Progress()
    if checkpoint.exists():
        state = _restore(checkpoint, network, ema, optimizer, generator)
    loss_of = DiceCELoss(include_background=True, to_onehot_y=True, softmax=True, batch=True)
    augment = EchoAugmentation()
    budget_s = settings.budget_minutes * 60
    saved_s = state.seconds
    while state.seconds < budget_s:
        begun = time.monotonic()
        _set_rate(optimizer, settings, state.seconds / budget_s)
        picked = torch.randint(len(images), (settings.batch,), generator=generator)
        batch, target = augment(images[picked].float(), masks[picked], generator=generator)
        batch = batch.to(device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            logits = network(batch)
        loss = loss_of(logits.float(), target[:, None].to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        _average(ema, network, min(settings.ema_decay, (1 + state.steps) / (10 + state.steps)))
        state.steps += 1
        state.loss += (float(loss.detach()) - state.loss) * max(0.02, 1 / state.steps)
        state.seconds += time.monotonic() - begun
        on_progress(FitProgress(state.seconds / budget_s, state.steps * settings.batch, state.loss))
        if state.seconds - saved_s > save_every_s or state.seconds >= budget_s:
            saved_s = state.seconds
            _save(checkpoint, network, ema, optimizer, generator, state)
    return ema


@dataclass
class _Progress:
    steps: int = 0
    seconds: float = 0.0
    loss: float = 0.0


def _set_rate(optimizer: torch.optim.Optimizer, settings: FitSettings, share: float) -> None:
    ramp = min(1.0, (share + 1e-3) / settings.warmup)
    rate = settings.learning_rate * ramp * (0.5 + 0.5 * math.cos(math.pi * min(1.0, share)))
    for group in optimizer.param_groups:
        group["lr"] = max(rate, 1e-6)


@torch.no_grad()
def _average(ema: torch.nn.Module, network: torch.nn.Module, decay: float) -> None:
    for kept, current in zip(ema.parameters(), network.parameters(), strict=True):
        kept.lerp_(current, 1 - decay)
    for averaged, latest in zip(ema.buffers(), network.buffers(), strict=True):
        averaged.copy_(latest)


def _save(
    path: Path,
    network: torch.nn.Module,
    ema: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    state: _Progress,
) -> None:
    everything: dict[str, Any] = {
        "network": network.state_dict(),
        "ema": ema.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": generator.get_state(),
        "progress": vars(state),
    }
    with atomic(path) as temporary:
        torch.save(everything, temporary)


def _restore(
    path: Path,
    network: torch.nn.Module,
    ema: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
) -> _Progress:
    saved = torch.load(path, weights_only=True)
    network.load_state_dict(saved["network"])
    ema.load_state_dict(saved["ema"])
    optimizer.load_state_dict(saved["optimizer"])
    generator.set_state(saved["generator"])
    logger.info("continuing after %d steps", saved["progress"]["steps"])
    return _Progress(**saved["progress"])
