"""Pictures that a model is not for: what it says of them means nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiolabel.errors import CorruptWeightsError
from cardiolabel.uncertainty.half_precision_text import packed, unpacked

BLANK, SATURATED, UNLIKE, PHANTOM = "blank", "saturated", "unlike_training", "phantom"
"""Flags."""

PHANTOM_DATASET = "phantom"

_FEWEST_GREYS = 16
_MOST_AT_TOP = 0.1
_AXES = 16
_FOLDS = 5
_MARGIN = 1.25
LEAST_IMAGES = 40
"""With fewer, nobody could say how far others of the kind lie."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """What pictures of a kind look like: their mean and the axes in which they differ most.

    ``mean (D,)``, ``axes (A, D)`` of `thumbnail`; ``limit`` is how far from the plane of these a picture of
    the kind may lie, where all thumbnails have length 1.
    """

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    limit: float

    def distance(self, embedding: NDArray[np.float32]) -> float:
        """How much of a picture ``(D,)`` these axes do not explain."""
        centred = embedding - self.mean
        return float(np.linalg.norm(centred - (self.axes @ centred) @ self.axes))

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe form."""
        return {"mean": packed(self.mean), "axes": packed(self.axes), "limit": self.limit}

    @classmethod
    def from_card(cls, said: Mapping[str, Any]) -> Pictures | None:
        """As a model card has it; None where it has none.

        Raises
        ------
        CorruptWeightsError
            It is something else.
        """
        if not said:
            return None
        try:
            mean = unpacked(said["mean"])
            return cls(mean, unpacked(said["axes"]).reshape(-1, len(mean)), float(said["limit"]))
        except (LookupError, TypeError, ValueError) as error:
            raise CorruptWeightsError(f"the model's card describes pictures otherwise: {error}") from error


def learn_pictures(patients: Mapping[str, Sequence[NDArray[np.float32]]]) -> Pictures:
    """Find the plane in which a kind of pictures lies, and how far others of the kind are from it.

    The limit is the largest distance of patients from the plane of the others, in five folds, and a quarter.

    Parameters
    ----------
    patients : mapping
        Thumbnails ``(D,)`` by patient.

    Raises
    ------
    ValueError
        Fewer than 40 pictures.
    """
    count = sum(map(len, patients.values()))
    if count < LEAST_IMAGES:
        raise ValueError(f"{count} pictures are too few; at least {LEAST_IMAGES} are needed")
    names = sorted(patients)
    farthest = 0.0
    for fold in range(_FOLDS):
        aside = set(names[fold::_FOLDS])
        plane = _plane([one for name in names if name not in aside for one in patients[name]])
        farthest = max(farthest, *(plane.distance(one) for name in aside for one in patients[name]))
    whole = _plane([one for name in names for one in patients[name]])
    return Pictures(whole.mean, whole.axes, round(_MARGIN * farthest, 4))


def flags_of(
    frame: NDArray[np.generic], embedding: NDArray[np.float32], pictures: Pictures | None, *, dataset: str
) -> tuple[str, ...]:
    """Why a frame ``(H, W)`` may not be what a model is for; nothing where nothing speaks against it."""
    if dataset == PHANTOM_DATASET:
        return (PHANTOM,)
    if len(np.unique(frame)) < _FEWEST_GREYS:
        return (BLANK,)
    found = []
    if (frame == frame.max()).mean() > _MOST_AT_TOP:
        found.append(SATURATED)
    if pictures and pictures.distance(embedding) > pictures.limit:
        found.append(UNLIKE)
    return tuple(found)


def _plane(embeddings: Sequence[NDArray[np.float32]]) -> Pictures:
    table = np.stack(embeddings)
    mean = table.mean(axis=0)
    _, _, axes = np.linalg.svd(table - mean, full_matrices=False)
    return Pictures(mean, axes[:_AXES], 0.0)
