"""Check whether the names A4C and A2C of a patient's images are exchanged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import View
from cardiolabel.errors import CorruptWeightsError
from cardiolabel.uncertainty.half_precision_text import packed, unpacked

SWAPPED = "views_swapped"
"""Flag of an image."""

LEAST_PATIENTS = 20
"""Fewest patients to learn the direction and its limit from."""

_FOLDS = 5

ViewThumbnails = Sequence[tuple[View, NDArray[np.float32]]]
"""View and `thumbnail` of each of a patient's images."""


@dataclass(frozen=True, eq=False)
class ViewDirection:
    """Direction in thumbnail space along which A4C images differ from A2C images.

    A patient's A4C thumbnails lie farther along ``direction (D,)`` than its A2C thumbnails. Where the
    difference is below ``limit``, which is 0 or less, the names are exchanged.
    """

    direction: NDArray[np.float32]
    limit: float

    def margin(self, pictures: ViewThumbnails) -> float | None:
        """Return how much farther a patient's A4C images lie than its A2C images; None without both."""
        places = {
            view: [
                float(self.direction @ thumbnail) for true_view, thumbnail in pictures if true_view is view
            ]
            for view in (View.A4C, View.A2C)
        }
        if not all(places.values()):
            return None
        return float(np.mean(places[View.A4C]) - np.mean(places[View.A2C]))

    def are_swapped(self, pictures: ViewThumbnails) -> bool:
        """Return whether a patient's views are exchanged."""
        margin = self.margin(pictures)
        return margin is not None and margin < self.limit

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-safe values."""
        return {"direction": packed(self.direction), "limit": self.limit}

    @classmethod
    def from_card(cls, fields: Mapping[str, Any]) -> ViewDirection | None:
        """Read the direction of a model card; None where it has none.

        Raises
        ------
        CorruptWeightsError
            The card's entry has another form.
        """
        if not fields:
            return None
        try:
            return cls(unpacked(fields["direction"]), float(fields["limit"]))
        except (LookupError, TypeError, ValueError) as error:
            raise CorruptWeightsError(f"the model card's view direction has another form: {error}") from error


def learn_direction(patients: Mapping[str, ViewThumbnails]) -> ViewDirection | None:
    """Fit the direction by ridge regression, and its limit by cross-validation over patients.

    The limit is the lowest margin of any patient by the direction of the other folds, at most 0.

    Parameters
    ----------
    patients : mapping
        By patient; those without pictures of both views are left out.

    Returns
    -------
    ViewDirection or None
        None with fewer than 20 patients.
    """
    pictured = {
        name: pictures
        for name, pictures in patients.items()
        if {View.A4C, View.A2C} <= {view for view, _ in pictures}
    }
    if len(pictured) < LEAST_PATIENTS:
        return None
    names, lowest = sorted(pictured), 0.0
    for fold in range(_FOLDS):
        aside = set(names[fold::_FOLDS])
        views = ViewDirection(_direction(pictured[name] for name in names if name not in aside), 0.0)
        margins = [views.margin(pictured[name]) for name in aside]
        lowest = min(lowest, *(margin for margin in margins if margin is not None))
    return ViewDirection(_direction(pictured.values()), round(lowest, 4))


def _direction(patients: Iterable[ViewThumbnails]) -> NDArray[np.float32]:
    pictures = [picture for patient in patients for picture in patient if picture[0] in (View.A4C, View.A2C)]
    table = np.stack([thumbnail for _, thumbnail in pictures]).astype(np.float64)
    sides = np.array([1.0 if view is View.A4C else -1.0 for view, _ in pictures])
    centred = table - table.mean(axis=0)
    squares = centred.T @ centred
    ridge = np.trace(squares) / len(squares) * np.eye(len(squares))
    direction: NDArray[np.float32] = np.linalg.solve(squares + ridge, centred.T @ sides).astype(np.float32)
    return direction
