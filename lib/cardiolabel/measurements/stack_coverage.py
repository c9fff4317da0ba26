"""Check that short-axis stacks cover the whole ventricle, at ED and ES alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cardiolabel.measurements.quality import QualityLimits
from cardiolabel.measurements.records import MaskedImage

_SAME_SPACING = 0.01
_STRAY = 0.1
_PARALLEL_COSINE = 0.999


def cavity_pixels(stack: MaskedImage) -> NDArray[np.intp]:
    """Return the cavity pixels of each slice, shape (Z,)."""
    pixels: NDArray[np.intp] = (stack.masks == stack.labels.value("lv_cavity")).sum(axis=(1, 2))
    return pixels


def fragment_share(stack: MaskedImage) -> float:
    """Share of the cavity's pixels outside the largest piece of their slice."""
    cavity = stack.masks == stack.labels.value("lv_cavity")
    if not cavity.any():
        return 0.0
    largest = 0
    for plane in cavity:
        pieces, count = ndimage.label(plane)
        largest += int(np.bincount(pieces.ravel())[1:].max()) if count else 0
    return 1 - largest / int(cavity.sum())


def gap_slices(pixels: NDArray[np.intp]) -> list[int]:
    """Return the slices without cavity between slices that have one, counted from 0.

    A slice with less than a tenth of both its neighbours' areas counts as without.

    >>> gap_slices(np.array([0, 40, 0, 30, 20, 0])), gap_slices(np.array([400, 3, 350, 200, 20]))
    ([2], [1])
    """
    filled = np.flatnonzero(pixels).tolist()
    if not filled:
        return []
    inner = range(filled[0] + 1, filled[-1])
    return [
        slice
        for slice in inner
        if pixels[slice] < _STRAY * min(pixels[slice - 1], pixels[slice + 1]) or not pixels[slice]
    ]


def is_apex_missing(pixels: NDArray[np.intp], limits: QualityLimits) -> bool:
    """Return whether the cavity ends abruptly on both sides, as in a stack of middle slices only.

    The valve plane cuts it off at the base; towards the apex it gets small.

    >>> is_apex_missing(np.array([900, 1000, 950]), QualityLimits())
    True
    >>> is_apex_missing(np.array([900, 1000, 600, 90]), QualityLimits())
    False
    """
    filled = pixels[pixels > 0]
    return filled.size > 1 and bool(min(filled[0], filled[-1]) > limits.apical_share * filled.max())


def slices_differ(ed: MaskedImage, es: MaskedImage, limits: QualityLimits) -> bool:
    """Return whether the stacks at ED and ES cover different slices.

    They do if their slices differ in number, distance or place; if the cavity at ES reaches beyond that at
    ED, lacks more slices at one end than the shortening of the long axis explains, or has hardly more than
    half its height.

    Parameters
    ----------
    ed, es : MaskedImage
        Stacks with a cavity each; their places are compared where both have an ``affine_mm``.
    limits : QualityLimits
    """
    if len(ed.masks) != len(es.masks):
        return True
    if not ed.slice_spacing_mm or not es.slice_spacing_mm:
        return bool(ed.slice_spacing_mm or es.slice_spacing_mm)
    apart_mm = ed.slice_spacing_mm
    if abs(es.slice_spacing_mm / apart_mm - 1) > _SAME_SPACING:
        return True
    ed_mm = es_mm = np.arange(len(ed.masks)) * apart_mm
    if ed.affine_mm is not None and es.affine_mm is not None:
        normal = _normal(ed.affine_mm)
        if abs(float(normal @ _normal(es.affine_mm))) < _PARALLEL_COSINE:
            return True
        ed_mm, es_mm = (
            _positions_mm(affine, len(ed.masks), normal) for affine in (ed.affine_mm, es.affine_mm)
        )
        if np.abs(np.sort(ed_mm) - np.sort(es_mm)).max() > apart_mm / 2:
            return True
    return _cavities_differ(ed_mm[cavity_pixels(ed) > 0], es_mm[cavity_pixels(es) > 0], apart_mm, limits)


def _cavities_differ(
    ed_mm: NDArray[np.float64], es_mm: NDArray[np.float64], apart_mm: float, limits: QualityLimits
) -> bool:
    lost_mm = np.array([es_mm.min() - ed_mm.min(), ed_mm.max() - es_mm.max()])
    most_mm = max(limits.lost_slices * apart_mm, limits.lost_height_mm)
    height_share = (np.ptp(es_mm) + apart_mm) / (np.ptp(ed_mm) + apart_mm)
    return bool(
        lost_mm.max() > most_mm + 0.1 * apart_mm
        or lost_mm.min() < -0.6 * apart_mm
        or height_share < limits.least_es_height
    )


def _positions_mm(
    affine: NDArray[np.float64], count: int, normal: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the positions of slices along a normal, shape (count,)."""
    origins = affine[:3, 3] + np.arange(count)[:, None] * affine[:3, 2]
    positions: NDArray[np.float64] = origins @ normal
    return positions


def _normal(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    return np.asarray(normal / max(float(np.linalg.norm(normal)), 1e-12))
