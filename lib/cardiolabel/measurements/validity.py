"""Anatomical validity of a mask: whole structures, a closed wall, an atrium behind the base.

Nothing is compared with a reference: a mask can be valid and wrong. The limits were set on reference masks,
see `ValidityLimits`.

References
----------
After Painchaud et al. 2020, doi 10.1109/TMI.2020.3003240, who count anatomical errors of the same kinds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cardiolabel.domain import LabelSet, Spacing
from cardiolabel.errors import ImageContentError, MeasurementError
from cardiolabel.measurements.contour import trace_cavity

_TOUCHING = np.ones((3, 3), dtype=bool)
"""Pixels that meet at a corner belong to one piece."""

_BEYOND = -1
_EPICARDIUM = "epicardium"
_HOLLOW = "myocardium"


class Fault(StrEnum):
    """What no heart looks like; the value is what tables show.

    ``missing``: a structure that should be there is not. ``pieces``: it is in several pieces. ``hole``: it
    has a hole; a hole of the epicardium lies between cavity and myocardium. ``open_wall``: the cavity's
    border lacks myocardium somewhere else than at the base. ``wide_base``: the part of the border without
    myocardium is too long to be the mitral annulus; ``no_base``: there is no such part. ``atrium_apart``:
    the left atrium does not cover the base. ``atrium_inside``: it lies within the ventricle, or on the
    apex's side of the base. ``slice_gap``: a slice without cavity between slices that have some.
    """

    MISSING = "missing"
    PIECES = "pieces"
    HOLE = "hole"
    OPEN_WALL = "open_wall"
    WIDE_BASE = "wide_base"
    NO_BASE = "no_base"
    ATRIUM_APART = "atrium_apart"
    ATRIUM_INSIDE = "atrium_inside"
    SLICE_GAP = "slice_gap"


@dataclass(frozen=True)
class Finding:
    """One fault of one structure; ``plane`` is the slice of a stack, from 0.

    >>> str(Finding(Fault.HOLE, "lv_cavity", plane=3))
    'hole:lv_cavity@3'
    """

    fault: Fault
    structure: str
    plane: int | None = None

    def __str__(self) -> str:
        """``fault:structure``, and the slice after an ``@``."""
        return f"{self.fault}:{self.structure}" + ("" if self.plane is None else f"@{self.plane}")


@dataclass(frozen=True)
class ValidityLimits:
    """Limits of the cavity's border without myocardium.

    Parameters
    ----------
    open_share : float
        Of the border away from the base, the most that may touch anything but myocardium. 0 in all 1796
        reference masks of 449 CAMUS patients and in all slices of 50 ACDC patients below the outflow.
    base_share : float
        Of the border, the most that the base may take: 0.24 at most in the CAMUS references.
    atrium_share : float
        Of the base, the least that must touch the left atrium: 0.93 at least in the CAMUS references.
    outflow_slices : int
        How many slices at the basal end of a short-axis stack may be open, where the aorta leaves.
    outflow_share : float
        Of the border, the most that may be open there: 0.18 at most in the ACDC references.
    """

    open_share: float = 0.01
    base_share: float = 0.30
    atrium_share: float = 0.25
    outflow_slices: int = 2
    outflow_share: float = 0.33


def apical_findings(
    mask: NDArray[np.uint8],
    *,
    labels: LabelSet,
    spacing: Spacing | None,
    expected: Collection[str],
    limits: ValidityLimits | None = None,
) -> tuple[Finding, ...]:
    """List the faults of an apical mask; none if it is anatomically valid.

    The base is the longest stretch of the cavity's border without myocardium. Nobody can draw beyond the edge
    of the image: border that lies there counts as walled, and pieces that reach it as one.

    Parameters
    ----------
    mask : ndarray of uint8, shape (H, W)
        Label values.
    labels : LabelSet
        Must name ``lv_cavity``; ``myocardium`` and ``left_atrium`` are judged where named.
    spacing : Spacing or None
        Pixel size; without it border is measured in pixels.
    expected : collection of str
        Structures that must be there. Others are judged only if they are.
    limits : ValidityLimits, optional

    Raises
    ------
    ImageContentError
        The mask is not (H, W).

    Examples
    --------
    >>> mask = np.zeros((40, 40), np.uint8)
    >>> mask[5:25, 10:30], mask[8:25, 13:27], mask[25:35, 13:27] = 2, 1, 3  # wall, cavity, atrium
    >>> camus = LabelSet("camus", (("lv_cavity", 1), ("myocardium", 2), ("left_atrium", 3)))
    >>> apical_findings(mask, labels=camus, spacing=None, expected=camus.as_dict())
    ()
    >>> mask[15, 10:13] = 0  # a gap in the wall
    >>> [str(found) for found in apical_findings(mask, labels=camus, spacing=None, expected=())]
    ['pieces:myocardium', 'open_wall:lv_cavity']
    """
    if mask.ndim != 2:
        raise ImageContentError(f"a frame is judged as (H, W), got shape {mask.shape}")
    limits = limits or ValidityLimits()
    findings = list(_missing(mask, labels, expected))
    mask = _trimmed(mask)
    findings += _whole(mask, labels, plane=None)
    if labels.has("lv_cavity") and (mask == labels.value("lv_cavity")).any():
        findings += [
            Finding(fault, "left_atrium" if fault in _OF_ATRIUM else "lv_cavity")
            for fault in _apical_border(mask, labels, spacing, limits)
        ]
    return tuple(findings)


def stack_findings(
    masks: NDArray[np.uint8],
    *,
    labels: LabelSet,
    spacing: Spacing | None,
    expected: Collection[str],
    limits: ValidityLimits | None = None,
) -> tuple[Finding, ...]:
    """List the faults of a short-axis stack; none if it is anatomically valid.

    Each slice is judged by itself. The cavity must be enclosed by myocardium, where the stack has any, in all
    slices but the basal ones, where wall and cavity open towards the aorta and the myocardium may be in
    pieces. The basal end is the half of the stack with more cavity. Cavities of fewer than 12 pixels have too
    little border to be judged.

    Parameters
    ----------
    masks : ndarray of uint8, shape (Z, H, W)
        Label values of parallel slices, in order.
    labels, spacing, expected, limits
        As `apical_findings`.

    Raises
    ------
    ImageContentError
        The masks are not (Z, H, W).
    """
    if masks.ndim != 3:
        raise ImageContentError(f"a stack is judged as (Z, H, W), got shape {masks.shape}")
    limits = limits or ValidityLimits()
    findings = list(_missing(masks, labels, expected))
    areas = (masks == labels.value("lv_cavity")).sum(axis=(1, 2))
    outflow = _outflow(areas, limits.outflow_slices)
    slices = [_trimmed(mask) for mask in masks]
    for plane, mask in enumerate(slices):
        opens = plane in outflow
        findings += [
            finding
            for finding in _whole(mask, labels, plane=plane)
            if not (opens and finding == Finding(Fault.PIECES, _HOLLOW, plane))
        ]
    filled = np.flatnonzero(areas)
    if len(filled):
        gaps = set(range(filled[0], filled[-1] + 1)) - set(filled.tolist())
        findings += [Finding(Fault.SLICE_GAP, "lv_cavity", plane) for plane in sorted(gaps)]
    if labels.has("myocardium") and (masks == labels.value("myocardium")).any():
        for plane in filled.tolist():
            most = limits.outflow_share if plane in outflow else limits.open_share
            if _ring_open_share(slices[plane], labels, spacing) > most:
                findings.append(Finding(Fault.OPEN_WALL, "lv_cavity", plane))
    return tuple(findings)


_OF_ATRIUM = (Fault.ATRIUM_APART, Fault.ATRIUM_INSIDE)


def _missing(masks: NDArray[np.uint8], labels: LabelSet, expected: Collection[str]) -> Iterator[Finding]:
    for name, value in labels.values:
        if name in expected and not (masks == value).any():
            yield Finding(Fault.MISSING, name)


def _trimmed(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Crop to the labelled pixels and one pixel around them."""
    rows, cols = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return mask[:1, :1]
    return mask[max(rows[0] - 1, 0) : rows[-1] + 2, max(cols[0] - 1, 0) : cols[-1] + 2]


def _whole(mask: NDArray[np.uint8], labels: LabelSet, *, plane: int | None) -> Iterator[Finding]:
    """List the structures of one plane that are in several pieces or have holes."""
    for name, value in labels.values:
        inside = mask == value
        if not inside.any():
            continue
        if _pieces(inside) > 1:
            yield Finding(Fault.PIECES, name, plane)
        if name != _HOLLOW and _has_hole(inside):
            yield Finding(Fault.HOLE, name, plane)
    wall = [labels.value(name) for name in ("lv_cavity", "myocardium") if labels.has(name)]
    if len(wall) == 2 and all((mask == value).any() for value in wall):
        if _has_hole(np.isin(mask, wall)) and not _has_hole(mask == wall[0]):
            yield Finding(Fault.HOLE, _EPICARDIUM, plane)


def _pieces(inside: NDArray[np.bool_]) -> int:
    """Label the pieces of a structure in one plane; those that reach the image's edge count as one."""
    parts, count = ndimage.label(inside, _TOUCHING)
    ends = [parts[0], parts[-1], parts[:, 0], parts[:, -1]]
    at_edge = len(np.setdiff1d(np.concatenate(ends), [0]))
    return int(count) - max(0, at_edge - 1)


def _has_hole(inside: NDArray[np.bool_]) -> bool:
    return bool((ndimage.binary_fill_holes(inside) & ~inside).any())


def _apical_border(
    mask: NDArray[np.uint8], labels: LabelSet, spacing: Spacing | None, limits: ValidityLimits
) -> Iterator[Fault]:
    """List the faults of the cavity's border: its wall, and the atrium at its base."""
    has_wall = labels.has("myocardium") and bool((mask == labels.value("myocardium")).any())
    atrium = mask == labels.value("left_atrium") if labels.has("left_atrium") else np.zeros_like(mask, bool)
    try:
        contour, steps, outside = _border(mask, labels, spacing)
    except MeasurementError:
        return  # too few pixels to have a border
    if not has_wall:
        if atrium.any() and not (outside == labels.value("left_atrium")).any():
            yield Fault.ATRIUM_APART
        return
    walled = (outside == labels.value("myocardium")) | (outside == _BEYOND)
    base = _longest_run(~walled, steps)
    if not base.any() and not (outside == _BEYOND).any():
        yield Fault.NO_BASE
    length, base_length = float(steps.sum()), float(steps[base].sum())
    if float(steps[~walled & ~base].sum()) > limits.open_share * (length - base_length):
        yield Fault.OPEN_WALL
    if base_length > limits.base_share * length:
        yield Fault.WIDE_BASE
    if not atrium.any():
        return
    covered = float(steps[base & (outside == labels.value("left_atrium"))].sum())
    if covered < limits.atrium_share * base_length or not base.any():
        yield Fault.ATRIUM_APART
    if _is_inside(mask, atrium, labels) or (base.any() and _before_base(atrium, contour, base, spacing)):
        yield Fault.ATRIUM_INSIDE


def _border(
    mask: NDArray[np.uint8], labels: LabelSet, spacing: Spacing | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int16]]:
    """Return the points (N, 2) of the cavity's border in mm, the length that each stands for, the value
    beyond it.
    """
    cavity = trace_cavity(mask, labels.value("lv_cavity"))
    contour = cavity.contour * _scale(spacing)
    ahead = np.linalg.norm(np.roll(contour, -1, axis=0) - contour, axis=1)
    return contour, (ahead + np.roll(ahead, 1)) / 2, cavity.outside


def _scale(spacing: Spacing | None) -> NDArray[np.float64]:
    return np.array([spacing.row_mm, spacing.col_mm] if spacing else [1.0, 1.0])


def _longest_run(flags: NDArray[np.bool_], lengths: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return the longest circular stretch of True; none where nothing is, all where everything is.

    >>> _longest_run(np.array([True, False, True, False, True]), np.ones(5))
    array([ True, False, False, False,  True])
    """
    if flags.all() or not flags.any():
        return flags
    start = int(np.flatnonzero(~flags)[0])
    runs, count = ndimage.label(np.roll(flags, -start))
    sizes = ndimage.sum_labels(np.roll(lengths, -start), runs, np.arange(1, count + 1))
    longest: NDArray[np.bool_] = np.roll(runs == int(np.argmax(sizes)) + 1, start)
    return longest


def _is_inside(mask: NDArray[np.uint8], atrium: NDArray[np.bool_], labels: LabelSet) -> bool:
    ventricle = np.isin(mask, [labels.value("lv_cavity"), labels.value("myocardium")])
    return bool((ndimage.binary_fill_holes(ventricle) & atrium).any())


def _before_base(
    atrium: NDArray[np.bool_],
    contour: NDArray[np.float64],
    base: NDArray[np.bool_],
    spacing: Spacing | None,
) -> bool:
    """Return whether the atrium's middle lies on the apex's side of the base."""
    middle = contour[base].mean(axis=0)
    apex = contour[int(np.linalg.norm(contour - middle, axis=1).argmax())]
    centre = np.argwhere(atrium).mean(axis=0) * _scale(spacing)
    return float((centre - middle) @ (apex - middle)) > 0


def _outflow(areas: NDArray[np.intp], count: int) -> frozenset[int]:
    """Return the most basal slices that have a cavity."""
    filled = np.flatnonzero(areas).tolist()
    first, last = areas[: len(areas) // 2].sum(), areas[(len(areas) + 1) // 2 :].sum()
    return frozenset(filled[:count] if first >= last else filled[-count:] if count else ())


def _ring_open_share(mask: NDArray[np.uint8], labels: LabelSet, spacing: Spacing | None) -> float:
    try:
        _, steps, outside = _border(mask, labels, spacing)
    except MeasurementError:
        return 0.0
    walled = (outside == labels.value("myocardium")) | (outside == _BEYOND)
    return float(steps[~walled].sum() / steps.sum())
