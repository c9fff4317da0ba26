"""Distribution of a patient's EF over sampled masks, and the share of each image in its variance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Convention, Method
from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.records import FrameRow, Study
from cardiolabel.measurements.simpson import apical_volumes, beats_of
from cardiolabel.uncertainty.sampled_masks import SampledGeometries

DRAWS = 2048


MethodKey = tuple[Method, Convention]
"""Method and convention of an EF."""

Frame = tuple[str, int]
"""Image id and frame, counted from 0."""


@dataclass(frozen=True, eq=False)
class EfDraws:
    """EDV, ESV and EF ``(D,)`` of random combinations of one patient's sampled masks.

    ``share`` is the part of EF's variance that each image causes; the parts sum up to 1.
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
    variants: Mapping[Frame, SampledGeometries | None],
    *,
    method: Method,
    convention: Convention,
    seed: int = 0,
) -> EfDraws:
    """Draw one sampled mask per image, measure the combination, and repeat.

    The masks of one image are drawn together, those of different images independently. Frames missing from
    ``geometries`` count as certain, as a person drew them.

    Parameters
    ----------
    study : Study
        Measured from the masks themselves; its cycles say which frames are ED and ES.
    variants : mapping
        Sampled geometries by image id and frame.
    method : Method
        An apical one.
    convention : Convention
    seed : int

    Raises
    ------
    MeasurementError
        The method has no beat, or a frame's masks cannot be measured.
    """
    beats = beats_of(study, method)
    rows = [row for beat in beats for cycle in beat for row in (cycle.ed, cycle.es)]
    if not beats:
        raise MeasurementError(f"there is no beat for {method}")
    sampled = {(row.image_id, row.frame): _known(row, variants) for row in rows}
    generator = np.random.default_rng(seed)
    index = {
        image_id: _balanced(generator, _count(image_id, sampled))
        for image_id in sorted({row.image_id for row in rows})
    }

    def drawn(row: FrameRow) -> SampledGeometries:
        geometries = sampled[row.image_id, row.frame]
        return geometries.drawn(index[row.image_id] % len(geometries))

    volumes = [
        apical_volumes(
            method, convention, ed=[drawn(cycle.ed) for cycle in beat], es=[drawn(cycle.es) for cycle in beat]
        )
        for beat in beats
    ]
    edv, esv = (np.mean(phase, axis=0) for phase in zip(*volumes, strict=True))
    return _combined(edv, esv, index)


def short_axis_draws(
    ed: tuple[str, NDArray[np.float64]], es: tuple[str, NDArray[np.float64]], *, seed: int = 0
) -> EfDraws:
    """Draw volumes of the stacks at ED and at ES, as `ef_draws` does for apical views.

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
    """List the frames that any volume of a study is measured on."""
    frames = {
        (row.image_id, row.frame)
        for cycles in study.cycles.values()
        for cycle in cycles
        for row in (cycle.ed, cycle.es)
    }
    return sorted(frames)


def _known(row: FrameRow, variants: Mapping[Frame, SampledGeometries | None]) -> SampledGeometries:
    frame = (row.image_id, row.frame)
    if frame not in variants:
        if row.geometry is None:
            raise MeasurementError(f"{row.image_id}: {row.reason}")
        return SampledGeometries.of([row.geometry])
    sampled = variants[frame]
    if sampled is None:
        raise MeasurementError(
            f"{row.image_id}: most of the masks that the model could have drawn have no measurable cavity"
        )
    return sampled


def _count(image_id: str, sampled: Mapping[Frame, SampledGeometries]) -> int:
    return max(len(geometries) for (image, _), geometries in sampled.items() if image == image_id)


def _balanced(generator: np.random.Generator, count: int) -> NDArray[np.intp]:
    """Return numbers below ``count`` in random order, each equally often."""
    return generator.permutation(np.arange(DRAWS) % count)


def _combined(
    edv: NDArray[np.float64], esv: NDArray[np.float64], index: Mapping[str, NDArray[np.intp]]
) -> EfDraws:
    ef = 100 * (edv - esv) / edv
    return EfDraws(
        edv, esv, ef, _shares(ef, {key: numbers for key, numbers in index.items() if numbers.any()})
    )


def _shares(ef: NDArray[np.float64], index: Mapping[str, NDArray[np.intp]]) -> dict[str, float]:
    """Return each image's share of EF's variance, by first-order Sobol indices."""
    between = {image_id: _variance_between(ef, numbers) for image_id, numbers in index.items()}
    total = sum(between.values())
    return {image_id: value / total if total else 0.0 for image_id, value in between.items()}


def _variance_between(ef: NDArray[np.float64], numbers: NDArray[np.intp]) -> float:
    counts = np.bincount(numbers)
    means = np.bincount(numbers, ef) / counts
    return float(np.average((means - ef.mean()) ** 2, weights=counts))
