"""Labelled images of a studies folder as network input, computed once per run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cardiolabel.domain import Phase, Record, Spacing
from cardiolabel.errors import DatasetError, InputError, MeasurementError
from cardiolabel.geometry.landmarks import NAMES
from cardiolabel.io.files import atomic
from cardiolabel.io.images import read_image
from cardiolabel.io.mask_files import read_mask_on
from cardiolabel.preprocessing.recipes import Output, Placement, Recipe
from cardiolabel.records.label_names import image_names, label_file
from cardiolabel.system.file_cache import file_state
from cardiolabel.training.landmark_points import landmarks_of_mask

_READING = 2
"""Version of how masks are read; raise it so that older cached arrays are not used."""

NOT = 128
"""Added to a class value: pixels of any class but this one."""

_NO_POINTS = torch.zeros(0, len(NAMES), 2)


@dataclass(frozen=True, eq=False)
class Samples:
    """Frames ``images (N, 1, S, S)`` fp16 and ``classes (N, S, S)`` uint8, and images that could not be used.

    Where only the cavity of class ``c`` is labelled, all other pixels have the value `NOT` ``+ c``. ``points
    (N, 7, 2)`` are landmarks in pixels of the images, in the order of `cardiolabel.geometry.landmarks.NAMES`;
    ``(0, 7, 2)`` for recipes of other outputs. ``key`` is a hash of the files.
    """

    images: torch.Tensor
    classes: torch.Tensor
    skipped: tuple[tuple[str, str], ...] = ()
    points: torch.Tensor = field(default_factory=_NO_POINTS.clone)
    key: str = ""

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.images)


def joined(first: Samples, second: Samples) -> Samples:
    """Return the frames of both, in this order."""
    return Samples(
        torch.cat([first.images, second.images]),
        torch.cat([first.classes, second.classes]),
        first.skipped + second.skipped,
        torch.cat([first.points, second.points]),
        f"{first.key}+{second.key}",
    )


def load(
    records: Sequence[Record],
    labels: Path,
    *,
    recipe: Recipe,
    cache: Path,
    cavity_only: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Samples:
    """Read images and masks, of each the fully labelled planes.

    Of a cine those are the frames with a label; of a stack also slices without, which lie beyond the
    ventricle. Frames with a cavity but no myocardium, where both are to be learned, are left out unless
    ``cavity_only``.

    Parameters
    ----------
    records : sequence of Record
    labels : Path
        Folder of masks, as `mask_paths` finds them.
    recipe : Recipe
        As inference will use it.
    cache : Path
        Folder that keeps the arrays, by everything they depend on.
    cavity_only : bool
        Take frames in which only the cavity was drawn.
    on_progress : callable
        Told images done and in all.

    Raises
    ------
    DatasetError
        No image has a usable mask.
    """
    paths = mask_paths(records, labels)
    pairs = [
        (record, paths[record.image_id])
        for record in records
        if record.view in recipe.views and record.image_id in paths
    ]
    if not records:
        side = recipe.size_px
        return Samples(torch.zeros(0, 1, side, side).half(), torch.zeros(0, side, side, dtype=torch.uint8))
    files = [(str(record.phase), file_state(record.path), file_state(path)) for record, path in pairs]
    key = hashlib.sha256(repr((_READING, _told(recipe), cavity_only, files)).encode()).hexdigest()[:16]
    stored = cache / f"samples-{key}.pt"
    if stored.exists():
        images, classes, points, skipped = torch.load(stored, weights_only=True)
        return Samples(
            images, classes, tuple((image_id, reason) for image_id, reason in skipped), points, key
        )
    parts: list[Samples] = []
    problems: list[tuple[str, str]] = []
    for done, (record, path) in enumerate(pairs, start=1):
        try:
            parts.append(_read(record, path, recipe, cavity_only))
        except InputError as error:
            problems.append((record.image_id, str(error)))
        on_progress(done, len(pairs))
    if not any(len(part) for part in parts):
        raise DatasetError(f"{labels}: no image has a usable mask for recipe {recipe.name}")
    samples = Samples(
        torch.cat([part.images for part in parts]),
        torch.cat([part.classes for part in parts]),
        tuple(problems),
        torch.cat([part.points for part in parts]),
        key,
    )
    with atomic(stored) as draft:
        torch.save(
            (samples.images, samples.classes, samples.points, [list(problem) for problem in problems]), draft
        )
    return samples


def mask_paths(records: Sequence[Record], labels: Path) -> dict[str, Path]:
    """Return the masks of any format in a folder, by image id; images without one are left out."""
    if not records:
        return {}
    names = image_names(records[0].path.parent, records)
    paths = {record.image_id: label_file(labels, record, names) for record in records}
    return {image_id: path for image_id, path in paths.items() if path is not None}


def _told(recipe: Recipe) -> dict[str, object]:
    """Return a text that identifies a recipe, the same in every process."""
    return {**vars(recipe), "views": sorted(map(str, recipe.views))}


def _read(record: Record, path: Path, recipe: Recipe, cavity_only: bool) -> Samples:
    image = read_image(record.path)
    clip, masks = image.clip, read_mask_on(path, image.grid, record.labels, stack=record.is_stack)
    place = recipe.placement(clip)
    images, classes = recipe.frames(clip, place), recipe.masks(masks, place)
    open_frames = _open_frames(masks, recipe)
    labelled = _learnable(record, masks, open_frames & (not cavity_only))
    cavity = recipe.values.index(recipe.labels.value("lv_cavity"))
    classes[open_frames] = np.where(classes[open_frames] == cavity, cavity, NOT + cavity)
    points = _NO_POINTS
    if recipe.output is Output.LANDMARKS:
        points = torch.stack([_points(masks, index, clip.spacing, place) for index in labelled])
    return Samples(
        torch.from_numpy(images[labelled]).half(), torch.from_numpy(classes[labelled]), points=points
    )


def _open_frames(masks: NDArray[np.uint8], recipe: Recipe) -> NDArray[np.bool_]:
    """Return the frames with a cavity but no myocardium, where both are to be learned."""
    if not recipe.labels.has("myocardium"):
        return np.zeros(len(masks), dtype=np.bool_)
    cavity, wall = (
        (masks == recipe.labels.value(name)).any(axis=(1, 2)) for name in ("lv_cavity", "myocardium")
    )
    open_frames: NDArray[np.bool_] = cavity & ~wall
    return open_frames


def _learnable(record: Record, masks: NDArray[np.uint8], left_out: NDArray[np.bool_]) -> NDArray[np.intp]:
    drawn = masks.any(axis=(1, 2))
    if not drawn.any():
        raise DatasetError("its masks are empty")
    learnable = (np.ones_like(drawn) if record.phase is not Phase.CINE else drawn) & ~left_out
    if not learnable.any():
        raise DatasetError("its masks hold the cavity without the myocardium, which is to be learned too")
    return np.flatnonzero(learnable)


def _points(masks: NDArray[np.uint8], frame: int, spacing: Spacing | None, place: Placement) -> torch.Tensor:
    try:
        points = landmarks_of_mask(masks[frame], spacing)
    except MeasurementError as error:
        raise DatasetError(f"frame {frame + 1} has no landmarks: {error}") from error
    return torch.from_numpy(place.to_input(points.points_px)).float()
