"""A2C called A4C and the other way round, told by a patient's pictures of both."""

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
"""Flag."""

LEAST_PATIENTS = 20
"""With fewer, nobody could say how alike the views of a patient may be."""

_FOLDS = 5

Pictured = Sequence[tuple[View, NDArray[np.float32]]]
"""A patient's images as view and `thumbnail`."""


@dataclass(frozen=True, eq=False)
class Views:
    """In which way pictures of A4C differ from those of A2C.

    A patient's pictures of A4C lie further in the ``direction (D,)`` of `thumbnail` than those of A2C; where
    they lie less far than ``limit``, which is 0 or below, the names are the wrong way round.
    """

    direction: NDArray[np.float32]
    limit: float

    def margin(self, pictures: Pictured) -> float | None:
        """How much further a patient's A4C lie than its A2C; None where there are not both."""
        places = {
            view: [float(self.direction @ thumbnail) for given, thumbnail in pictures if given is view]
            for view in (View.A4C, View.A2C)
        }
        if not all(places.values()):
            return None
        return float(np.mean(places[View.A4C]) - np.mean(places[View.A2C]))

    def are_swapped(self, pictures: Pictured) -> bool:
        """Whether a patient's views are named the wrong way round."""
        margin = self.margin(pictures)
        return margin is not None and margin < self.limit

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe form."""
        return {"direction": packed(self.direction), "limit": self.limit}

    @classmethod
    def from_card(cls, said: Mapping[str, Any]) -> Views | None:
        """As a model card has it; None where it has none.

        Raises
        ------
        CorruptWeightsError
            It is something else.
        """
        if not said:
            return None
        try:
            return cls(unpacked(said["direction"]), float(said["limit"]))
        except (LookupError, TypeError, ValueError) as error:
            raise CorruptWeightsError(f"the model's card describes views otherwise: {error}") from error


def learn_views(patients: Mapping[str, Pictured]) -> Views | None:
    """Find the direction by ridge regression, and the limit by patients whom it was not found by.

    The limit is the lowest margin of patients by the direction that the others give, in five folds; 0
    where that is above.

    Parameters
    ----------
    patients : mapping
        By patient; those without pictures of both views are left out.

    Returns
    -------
    Views or None
        None with fewer than 20 patients.
    """
    known = {
        name: pictures
        for name, pictures in patients.items()
        if {View.A4C, View.A2C} <= {view for view, _ in pictures}
    }
    if len(known) < LEAST_PATIENTS:
        return None
    names, lowest = sorted(known), 0.0
    for fold in range(_FOLDS):
        aside = set(names[fold::_FOLDS])
        views = Views(_direction(known[name] for name in names if name not in aside), 0.0)
        margins = [views.margin(known[name]) for name in aside]
        lowest = min(lowest, *(margin for margin in margins if margin is not None))
    return Views(_direction(known.values()), round(lowest, 4))


def _direction(patients: Iterable[Pictured]) -> NDArray[np.float32]:
    pictures = [one for patient in patients for one in patient if one[0] in (View.A4C, View.A2C)]
    table = np.stack([thumbnail for _, thumbnail in pictures]).astype(np.float64)
    sides = np.array([1.0 if view is View.A4C else -1.0 for view, _ in pictures])
    centred = table - table.mean(axis=0)
    squares = centred.T @ centred
    ridge = np.trace(squares) / len(squares) * np.eye(len(squares))
    direction: NDArray[np.float32] = np.linalg.solve(squares + ridge, centred.T @ sides).astype(np.float32)
    return direction
