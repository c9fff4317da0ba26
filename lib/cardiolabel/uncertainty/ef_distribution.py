"""How far a patient's EF could move within what the masks leave open, and which image moves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Convention, Method
from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.records import FrameRow, Study
from cardiolabel.measurements.simpson import beats_of, volumes_ml
from cardiolabel.uncertainty.sampled_masks import Variants

DRAWS = 2048


Way = tuple[Method, Convention]
"""How an EF is measured."""

Frame = tuple[str, int]
"""Image id and frame, from 0."""


@dataclass(frozen=True, eq=False)
class EfDraws:
    """EDV, ESV and EF ``(D,)`` of combinations of masks that the images of one patient could have.

    ``share`` is the part of EF's variance that each open image causes; the parts sum up to 1.
    """

    edv_ml: NDArray[np.float64]
    esv_ml: NDArray[np.float64]
    ef_pct: NDArray[np.float64]
    share: dict[str, float]

    @property
    def spread_pct(self) -> float:
        """Standard deviation of EF in points."""
        return float(self.ef_pct.std())


def ef_draws(
    study: Study,
    variants: Mapping[Frame, Variants | None],
    *,
    method: Method,
    convention: Convention,
    seed: int = 0,
) -> EfDraws:
    """Draw a mask for each image, put them together and measure, many times.

    The masks of one image are drawn together, those of different images independently. Frames that
    ``variants`` does not have are certain: a person drew them.

    Parameters
    ----------
    study : Study
        As measured from the masks themselves; says which frames are ED and ES of which beat.
    variants : mapping
        By image id and frame.
    method : Method
        An apical one.
    convention : Convention
    seed : int

    Raises
    ------
    MeasurementError
        The method has no beat, or masks of a frame cannot be measured; the message is the reason.
    """
    beats = beats_of(study, method)
    rows = [row for beat in beats for cycle in beat for row in (cycle.ed, cycle.es)]
    if not beats:
        raise MeasurementError(f"there is no beat for {method}")
    known = {(row.image_id, row.frame): _known(row, variants) for row in rows}
    generator = np.random.default_rng(seed)
    index = {
        image_id: _balanced(generator, _count(image_id, known))
        for image_id in sorted({row.image_id for row in rows})
    }

    def drawn(row: FrameRow) -> Variants:
        found = known[row.image_id, row.frame]
        return found.drawn(index[row.image_id] % len(found))

    volumes = [
        volumes_ml(
            method, convention, ed=[drawn(cycle.ed) for cycle in beat], es=[drawn(cycle.es) for cycle in beat]
        )
        for beat in beats
    ]
    edv, esv = (np.mean(phase, axis=0) for phase in zip(*volumes, strict=True))
    return _combined(edv, esv, index)


def short_axis_draws(
    ed: tuple[str, NDArray[np.float64]], es: tuple[str, NDArray[np.float64]], *, seed: int = 0
) -> EfDraws:
    """As `ef_draws`, of the stacks at ED and at ES.

    Parameters
    ----------
    ed, es : str and ndarray, shape (M,)
        Image id, and the volume in ml that each of its masks has; a single one is certain.
    seed : int

    Raises
    ------
    MeasurementError
        No mask has a cavity at ED.
    """
    generator = np.random.default_rng(seed)
    if not (ed[1] > 0).all():
        raise MeasurementError(f"{ed[0]}: some of the masks that the model could have drawn have no cavity")
    index = {image_id: _balanced(generator, len(volumes)) for image_id, volumes in (ed, es)}
    return _combined(ed[1][index[ed[0]]], es[1][index[es[0]]], index)


def needed_frames(study: Study) -> list[Frame]:
    """Frames that some volume of a study is measured on."""
    found = {
        (row.image_id, row.frame)
        for cycles in study.cycles.values()
        for cycle in cycles
        for row in (cycle.ed, cycle.es)
    }
    return sorted(found)


def _known(row: FrameRow, variants: Mapping[Frame, Variants | None]) -> Variants:
    frame = (row.image_id, row.frame)
    if frame not in variants:
        if row.geometry is None:
            raise MeasurementError(f"{row.image_id}: {row.reason}")
        return Variants.of([row.geometry])
    found = variants[frame]
    if found is None:
        raise MeasurementError(
            f"{row.image_id}: most of the masks that the model could have drawn have no measurable cavity"
        )
    return found


def _count(image_id: str, known: Mapping[Frame, Variants]) -> int:
    return max(len(found) for (image, _), found in known.items() if image == image_id)


def _balanced(generator: np.random.Generator, count: int) -> NDArray[np.intp]:
    """Numbers below ``count``, each as often as the others, in any order."""
    return generator.permutation(np.arange(DRAWS) % count)


def _combined(
    edv: NDArray[np.float64], esv: NDArray[np.float64], index: Mapping[str, NDArray[np.intp]]
) -> EfDraws:
    ef = 100 * (edv - esv) / edv
    return EfDraws(
        edv, esv, ef, _shares(ef, {one: numbers for one, numbers in index.items() if numbers.any()})
    )


def _shares(ef: NDArray[np.float64], index: Mapping[str, NDArray[np.intp]]) -> dict[str, float]:
    """Part of the variance between the masks of each image, all else averaged: Sobol's first order."""
    between = {image_id: _variance_between(ef, numbers) for image_id, numbers in index.items()}
    total = sum(between.values())
    return {image_id: value / total if total else 0.0 for image_id, value in between.items()}


def _variance_between(ef: NDArray[np.float64], numbers: NDArray[np.intp]) -> float:
    counts = np.bincount(numbers)
    means = np.bincount(numbers, ef) / counts
    return float(np.average((means - ef.mean()) ** 2, weights=counts))
