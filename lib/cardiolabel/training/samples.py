"""Labelled images of a studies folder as network input, computed once per run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cardiolabel.cache import file_state
from cardiolabel.domain import Record
from cardiolabel.errors import DatasetError, InputError
from cardiolabel.io import nifti
from cardiolabel.io.files import atomic
from cardiolabel.preprocessing.recipes import Recipe


@dataclass(frozen=True, eq=False)
class Samples:
    """Frames ``images (N, 1, S, S)`` fp16 and ``classes (N, S, S)`` uint8, and what could not be used."""

    images: torch.Tensor
    classes: torch.Tensor
    skipped: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.images)


def load(
    records: Sequence[Record],
    labels: Path,
    *,
    recipe: Recipe,
    cache: Path,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Samples:
    """Read images and their masks; of a cine only the frames that hold a label.

    Parameters
    ----------
    records : sequence of Record
    labels : Path
        Folder of ``<image_id>.nii.gz``.
    recipe : Recipe
        As inference will use it.
    cache : Path
        Folder that keeps the arrays, by everything they depend on.
    on_progress : callable
        Told images done and in all.

    Raises
    ------
    DatasetError
        No image has a usable mask.
    """
    pairs = [
        (record, labels / f"{record.image_id}.nii.gz") for record in records if record.view in recipe.views
    ]
    pairs = [(record, path) for record, path in pairs if path.is_file()]
    if not records:
        side = recipe.size_px
        return Samples(torch.zeros(0, 1, side, side).half(), torch.zeros(0, side, side, dtype=torch.uint8))
    key = hashlib.sha256(
        repr((recipe, [(file_state(one.path), file_state(path)) for one, path in pairs])).encode()
    ).hexdigest()[:16]
    stored = cache / f"samples-{key}.pt"
    if stored.exists():
        images, classes, skipped = torch.load(stored, weights_only=True)
        return Samples(images, classes, tuple((one, reason) for one, reason in skipped))
    found: list[tuple[torch.Tensor, torch.Tensor]] = []
    problems: list[tuple[str, str]] = []
    for done, (record, path) in enumerate(pairs, start=1):
        try:
            found.append(_pair(record, path, recipe))
        except InputError as error:
            problems.append((record.image_id, str(error)))
        on_progress(done, len(pairs))
    if not any(len(images) for images, _ in found):
        raise DatasetError(f"{labels}: no image has a usable mask for recipe {recipe.name}")
    samples = Samples(
        torch.cat([one for one, _ in found]), torch.cat([one for _, one in found]), tuple(problems)
    )
    with atomic(stored) as draft:
        torch.save((samples.images, samples.classes, [list(one) for one in problems]), draft)
    return samples


def _pair(record: Record, path: Path, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    clip, masks = nifti.read(record.path).clip, nifti.read_mask(path)
    if masks.shape != clip.shape:
        raise DatasetError(f"mask {masks.shape} (T, H, W) does not fit its image {clip.shape}")
    place = recipe.placement(clip)
    images, classes = recipe.frames(clip, place), recipe.masks(masks, place)
    labelled = np.flatnonzero(masks.any(axis=(1, 2)))
    return torch.from_numpy(images[labelled]).half(), torch.from_numpy(classes[labelled])
