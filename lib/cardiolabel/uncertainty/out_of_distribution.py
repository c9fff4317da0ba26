"""Out-of-distribution check: distance from the PCA subspace of the training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiolabel.errors import CorruptWeightsError
from cardiolabel.uncertainty.half_precision_text import packed, unpacked

BLANK, SATURATED, UNLIKE, PHANTOM = "blank", "saturated", "unlike_training", "phantom"
"""Flags of an image."""

PHANTOM_DATASET = "phantom"

_FEWEST_GREYS = 16
_MOST_AT_TOP = 0.1
_AXES = 16
_FOLDS = 5
_MARGIN = 1.25
LEAST_IMAGES = 40
"""Fewest images to learn a subspace and its limit from."""


@dataclass(frozen=True, eq=False)
class ImageSubspace:
    """PCA subspace of the thumbnails of a model's training images.

    ``mean (D,)`` and principal ``axes (A, D)`` of `thumbnail`, which has length 1; an image farther away than
    ``limit`` is out of distribution.
    """

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    limit: float

    def distance(self, embedding: NDArray[np.float32]) -> float:
        """Return the distance of a thumbnail ``(D,)`` from the subspace."""
        centred = embedding - self.mean
        return float(np.linalg.norm(centred - (self.axes @ centred) @ self.axes))

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-safe values."""
        return {"mean": packed(self.mean), "axes": packed(self.axes), "limit": self.limit}

    @classmethod
    def from_card(cls, fields: Mapping[str, Any]) -> ImageSubspace | None:
        """Read the subspace of a model card; None where it has none.

        Raises
        ------
        CorruptWeightsError
            The card's entry has another form.
        """
        if not fields:
            return None
        try:
            mean = unpacked(fields["mean"])
            return cls(mean, unpacked(fields["axes"]).reshape(-1, len(mean)), float(fields["limit"]))
        except (LookupError, TypeError, ValueError) as error:
            raise CorruptWeightsError(f"the model card's image subspace has another form: {error}") from error


def learn_subspace(patients: Mapping[str, Sequence[NDArray[np.float32]]]) -> ImageSubspace:
    """Fit the subspace, and its limit by cross-validation over patients.

    The limit is the largest distance of a patient's image from the subspace of the other folds, plus a
    quarter.

    Parameters
    ----------
    patients : mapping
        Thumbnails ``(D,)`` by patient.

    Raises
    ------
    ValueError
        Fewer than 40 images.
    """
    count = sum(map(len, patients.values()))
    if count < LEAST_IMAGES:
        raise ValueError(f"{count} images are too few; at least {LEAST_IMAGES} are needed")
    names = sorted(patients)
    farthest = 0.0
    for fold in range(_FOLDS):
        aside = set(names[fold::_FOLDS])
        plane = _plane([patient for name in names if name not in aside for patient in patients[name]])
        farthest = max(farthest, *(plane.distance(patient) for name in aside for patient in patients[name]))
    whole = _plane([patient for name in names for patient in patients[name]])
    return ImageSubspace(whole.mean, whole.axes, round(_MARGIN * farthest, 4))


def flags_of(
    frame: NDArray[np.generic],
    embedding: NDArray[np.float32],
    pictures: ImageSubspace | None,
    *,
    dataset: str,
) -> tuple[str, ...]:
    """List the reasons why a frame ``(H, W)`` may be out of distribution."""
    if dataset == PHANTOM_DATASET:
        return (PHANTOM,)
    if len(np.unique(frame)) < _FEWEST_GREYS:
        return (BLANK,)
    flags = []
    if (frame == frame.max()).mean() > _MOST_AT_TOP:
        flags.append(SATURATED)
    if pictures and pictures.distance(embedding) > pictures.limit:
        flags.append(UNLIKE)
    return tuple(flags)


def _plane(embeddings: Sequence[NDArray[np.float32]]) -> ImageSubspace:
    table = np.stack(embeddings)
    mean = table.mean(axis=0)
    _, _, axes = np.linalg.svd(table - mean, full_matrices=False)
    return ImageSubspace(mean, axes[:_AXES], 0.0)
