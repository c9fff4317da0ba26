"""A tiny model on disk, and clips for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from cardiolabel.domain import Clip, Spacing
from cardiolabel.networks.registry import build
from cardiolabel.networks.weights import ModelCard, save_model

ARGUMENTS = {"out_channels": 4, "widths": [4, 6, 8]}


def save_tiny_model(folder: Path, *, name: str = "tiny", recipe: str = "camus") -> ModelCard:
    """An untrained network; its masks mean nothing but are always the same."""
    torch.manual_seed(3)
    card = ModelCard(name, "0", "unet", ARGUMENTS, recipe, trained_on="nothing", licence="none")
    return save_model(build("unet", ARGUMENTS), card, folder=folder)


def noise_clip(frames: int, rows: int, cols: int, spacing: Spacing | None, *, seed: int = 0) -> Clip:
    """Blotches, so that an untrained network sees structure."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, size=(frames, rows // 10 + 1, cols // 10 + 1))
    pixels = coarse.repeat(10, axis=1).repeat(10, axis=2)[:, :rows, :cols]
    return Clip(pixels.astype(np.uint8), spacing)
