"""Short-axis stacks of rings, and a small network that has learnt to see them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from cardiolabel.domain import Clip, Phase, Record, Spacing, Stack, View
from cardiolabel.io import nifti
from cardiolabel.networks.registry import build
from cardiolabel.networks.weights import ModelCard, save_model
from cardiolabel.preprocessing.recipes import SAX
from cardiolabel.records import manifest

SPACING, APART_MM = Spacing(row_mm=1.4, col_mm=1.5), 8.0
RADII_MM = {Phase.ED: 17.0, Phase.ES: 11.0}
STACKS = ("s_SAX_ED", "s_SAX_ES")
CAVITY, WALL = 3, 2

_ARGUMENTS = {"out_channels": 3, "widths": [8, 12, 16]}


def rings(radius_mm: float) -> np.ndarray:
    """Masks ``(Z, H, W)``: a cavity in a wall of 6 mm; the last slice is empty."""
    rows, cols = np.mgrid[:44, :42]
    away_mm = np.hypot((rows - 22) * SPACING.row_mm, (cols - 21) * SPACING.col_mm)
    mask = np.where(away_mm < radius_mm, CAVITY, np.where(away_mm < radius_mm + 6, WALL, 0))
    return np.stack([mask, mask, mask, np.zeros_like(mask)]).astype(np.uint8)


def picture(masks: np.ndarray) -> np.ndarray:
    """Bright blood, a dark wall."""
    return np.array([100, 0, 20, 220], np.uint8)[masks]


def volume_ml(masks: np.ndarray) -> float:
    """Of the cavity, by summing slices."""
    return float((masks == CAVITY).sum()) * SPACING.pixel_area_mm2 * APART_MM / 1000


def write_stacks(folder: Path, *, dataset: str = "folder") -> Path:
    """One patient's stacks at ED and ES, without labels."""
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for image_id, (phase, radius_mm) in zip(STACKS, RADII_MM.items(), strict=True):
        path = folder / f"{image_id}.nii.gz"
        nifti.write_stack(Stack(picture(rings(radius_mm)), SPACING, APART_MM), path)
        records.append(Record(image_id, "s", View.SAX, phase, dataset, path))
    manifest.write(records, folder)
    return folder


def save_ring_model(folder: Path, *, name: str = "sunnybrook") -> ModelCard:
    """A network of recipe ``sax`` after a few steps of training on rings."""
    torch.manual_seed(0)
    recipe = SAX.sized(64)
    network = build("unet", _ARGUMENTS)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    frames, classes = [], []
    for radius_mm in (9.0, 12.0, 15.0, 18.0):
        masks = rings(radius_mm)
        clip = Clip(picture(masks), SPACING)
        place = recipe.placement(clip)
        frames.append(torch.from_numpy(recipe.frames(clip, place)))
        classes.append(torch.from_numpy(recipe.masks(masks, place)).long())
    inputs, targets = torch.cat(frames), torch.cat(classes)
    for _ in range(20):
        optimizer.zero_grad()
        functional.cross_entropy(network(inputs), targets).backward()
        optimizer.step()
    card = ModelCard(
        name, "0", "unet", _ARGUMENTS, "sax", trained_on="rings", licence="none", size_px=recipe.size_px
    )
    return save_model(network, card, folder=folder)
