"""Masks sampled from a model's uncertainty about a frame, their geometry, and how far they disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cardiolabel.domain import Spacing
from cardiolabel.errors import MeasurementError
from cardiolabel.inference.class_masks import likeliest
from cardiolabel.inference.engines.engine import Engine
from cardiolabel.inference.postprocess import clean_mask, wall_share
from cardiolabel.measurements.geometry import LVGeometry, measure_geometry
from cardiolabel.preprocessing.recipes import Placement, Recipe
from cardiolabel.uncertainty.test_time_augmentation import VARIATIONS

LEVELS = ((0, -1.5), (1, 1.5), (2, -1.5), (3, 1.5), (4, -1.5), (5, 1.5))
"""Sampled masks: the number of a `VARIATIONS` and the value added to the cavity's logit.

Adding to the logit moves the endocardium where the network is uncertain, and leaves a sharp edge in place.
"""

_BAND_SHARE = 0.02
"""Half the width of the band around the endocardium, as a share of the input's side."""


@dataclass(frozen=True, eq=False)
class SampledGeometries:
    """Geometry of the M sampled masks of one frame, as `apical_volumes` takes it.

    ``diameters (M, 20)``, ``length (M,)``, ``area (M,)``, in mm or pixels; M is 1 for a person's mask.
    """

    diameters: NDArray[np.float64]
    length: NDArray[np.float64]
    area: NDArray[np.float64]

    @classmethod
    def of(cls, geometries: Sequence[LVGeometry]) -> SampledGeometries:
        """Collect measured geometries."""
        return cls(
            np.array([geometry.diameters for geometry in geometries]),
            np.array([geometry.length for geometry in geometries]),
            np.array([geometry.area for geometry in geometries]),
        )

    def __len__(self) -> int:
        """Return the number of sampled masks."""
        return len(self.length)

    def drawn(self, index: NDArray[np.intp]) -> SampledGeometries:
        """Select masks by their numbers ``index (D,)``."""
        return SampledGeometries(self.diameters[index], self.length[index], self.area[index])


@dataclass(frozen=True, eq=False)
class FrameUncertainty:
    """Uncertainty of a model about one frame.

    Attributes
    ----------
    geometries : SampledGeometries or None
        Of the sampled masks; None where fewer than half of them can be measured.
    cavity_px : ndarray, shape (M,)
        Cavity of every sampled mask in pixels of the network's grid.
    entropy : float
        Mean predictive entropy in nats of the pixels around the endocardium; 0 without a cavity.
    disagreement : float
        1 - mean Dice between the model's own cavity and those of the `VARIATIONS`.
    expected_dice : float
        Dice that the model itself expects of its cavity: against masks drawn from its probabilities.
    """

    geometries: SampledGeometries | None
    cavity_px: NDArray[np.float64]
    entropy: float
    disagreement: float
    expected_dice: float


def augmented_logits(engine: Engine, frame: NDArray[np.float32]) -> NDArray[np.float32]:
    """Predict each of the `VARIATIONS` of a frame ``(1, 1, S, S)`` as logits ``(K, C, S, S)``."""
    return engine.logits(np.concatenate([variation.apply(frame) for variation in VARIATIONS]))


def frame_uncertainty(
    logits: NDArray[np.float32], recipe: Recipe, *, place: Placement, spacing: Spacing | None
) -> FrameUncertainty:
    """Measure a model's uncertainty about a frame from its predictions under test-time augmentation.

    Parameters
    ----------
    logits : ndarray, shape (K, C, S, S)
        As `augmented_logits` returns them.
    recipe : Recipe
        With classes for outputs.
    place : Placement
        Of the frame.
    spacing : Spacing or None
        Pixel size of the frame.
    """
    cavity = recipe.values.index(recipe.labels.value("lv_cavity"))
    pixel = input_spacing(place, spacing)
    masks = [_mask(logits[number], recipe, cavity, by) for number, by in LEVELS]
    own = [
        variation.undo(likeliest(planes)[None] == cavity)[0]
        for variation, planes in zip(VARIATIONS, logits, strict=True)
    ]
    probabilities = _softmax(logits[0])
    return FrameUncertainty(
        _geometries(masks, recipe, pixel),
        _cavity_px(masks, recipe),
        _entropy_around(probabilities, own[0]),
        float(1 - np.mean([_dice(own[0], other) for other in own[1:]])),
        _dice(own[0], probabilities[cavity]),
    )


def input_spacing(place: Placement, spacing: Spacing | None) -> Spacing | None:
    """Return the size of the network's pixels in mm."""
    if spacing is None:
        return None
    return Spacing(
        spacing.row_mm * place.rows / place.inner_rows, spacing.col_mm * place.cols / place.inner_cols
    )


def _mask(logits: NDArray[np.float32], recipe: Recipe, cavity: int, by: float) -> NDArray[np.uint8]:
    """Return the cleaned mask ``(S, S)`` on the network's grid, with ``by`` added to the cavity's logit."""
    planes = [plane + np.float32(by) if number == cavity else plane for number, plane in enumerate(logits)]
    mask = clean_mask(np.array(recipe.values, dtype=np.uint8)[likeliest(planes)], recipe.labels)
    thin = recipe.least_wall and wall_share(mask, recipe.labels) < recipe.least_wall
    return np.zeros_like(mask) if thin else mask


def _geometries(
    masks: Sequence[NDArray[np.uint8]], recipe: Recipe, spacing: Spacing | None
) -> SampledGeometries | None:
    geometries = []
    for mask, (number, _) in zip(masks, LEVELS, strict=True):
        scale = VARIATIONS[number].scale
        pixel = Spacing(spacing.row_mm / scale, spacing.col_mm / scale) if spacing else None
        try:
            geometries.append(measure_geometry(mask, pixel, labels=recipe.labels))
        except MeasurementError:
            continue
    return SampledGeometries.of(geometries) if 2 * len(geometries) >= len(masks) else None


def _cavity_px(masks: Sequence[NDArray[np.uint8]], recipe: Recipe) -> NDArray[np.float64]:
    value = recipe.labels.value("lv_cavity")
    scales = [VARIATIONS[number].scale for number, _ in LEVELS]
    return np.array([(mask == value).sum() / scale**2 for mask, scale in zip(masks, scales, strict=True)])


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=0))
    probabilities: NDArray[np.float32] = powers / powers.sum(axis=0)
    return probabilities


def _entropy_around(probabilities: NDArray[np.float32], cavity: NDArray[np.bool_]) -> float:
    width = max(1, round(_BAND_SHARE * len(cavity)))
    band = ndimage.binary_dilation(cavity, iterations=width) & ~ndimage.binary_erosion(
        cavity, iterations=width
    )
    if not band.any():
        return 0.0
    inside = probabilities[:, band]
    return float(-(inside * np.log(inside.clip(min=1e-9))).sum(axis=0).mean())


def _dice(mask: NDArray[np.bool_], other: NDArray[np.generic]) -> float:
    """Return the Dice of two masks, or of a mask and probabilities; 1 where both are empty."""
    total = float(mask.sum() + other.sum())
    return float(2 * other[mask].sum() / total) if total else 1.0
