"""Overlap and boundary distances of one structure of one image, predicted against reference."""

from __future__ import annotations

import warnings
from dataclasses import astuple, dataclass

import numpy as np
import torch
from monai.metrics.utils import get_edge_surface_distance
from numpy.typing import NDArray

from cardiolabel.domain import Spacing
from cardiolabel.errors import MeasurementError
from cardiolabel.geometry.regions import bounding_box
from cardiolabel.measurements.mask_shapes import check_shapes
from cardiolabel.measurements.overlap import dice

OVERLAPS = ("dice", "iou", "pixel_accuracy")
DISTANCES = ("hd_mm", "hd95_mm", "msd_mm")

NO_SPACING = "the file carries no pixel spacing"
NOT_PREDICTED = "the predicted mask does not have it"
NOT_IN_REFERENCE = "the reference mask does not have it"
IN_NEITHER = "neither mask has it"
APART = "no frame or slice in which both masks have it"

_PERCENTILE = 0.95


@dataclass(frozen=True)
class BoundaryDistances:
    """Distances in mm between the boundaries of two masks of a structure in one plane.

    ``hd_mm`` is the Hausdorff distance, ``hd95_mm`` the larger 95th percentile of both directions, ``msd_mm``
    the mean distance of all boundary pixels of both masks to the other boundary.
    """

    hd_mm: float
    hd95_mm: float
    msd_mm: float


def boundary_distances(
    predicted: NDArray[np.bool_], reference: NDArray[np.bool_], *, spacing: Spacing
) -> BoundaryDistances:
    """Measure the distances between two outlines.

    Distances are between centres of boundary pixels: pixels of the structure with one of their four
    neighbours outside it, or at the edge of the image.

    Parameters
    ----------
    predicted, reference : ndarray of bool, shape (H, W)
        Pixels of the structure.
    spacing : Spacing
        Pixel size, which may differ along rows and columns.

    Raises
    ------
    MeasurementError
        A mask is empty; the message is the reason.
    ImageContentError
        The masks differ in shape or are not (H, W).

    References
    ----------
    Huttenlocher et al. 1993, doi 10.1109/34.232073, equation 1. MONAI measures every boundary pixel once;
    its ``compute_hausdorff_distance`` and ``compute_average_surface_distance`` (``symmetric=True``), which
    give the same figures, would do so for each of them. `cardiolabel.measurements.hausdorff`, which has no
    MONAI, agrees to float32, MONAI's precision.

    Examples
    --------
    >>> one, other = np.zeros((2, 30, 30), bool)
    >>> one[5:15, 5:15] = other[5:15, 9:19] = True  # the same square, four columns on
    >>> boundary_distances(one, other, spacing=Spacing(row_mm=1.0, col_mm=0.5)).hd_mm
    2.0
    """
    check_shapes(predicted, reference, axes=2)
    window = bounding_box(predicted | reference)
    if window is None or not (predicted.any() and reference.any()):
        raise MeasurementError(_empty(bool(predicted.any()), bool(reference.any())))
    ours, theirs = (torch.from_numpy(np.ascontiguousarray(mask[window])) for mask in (predicted, reference))
    with warnings.catch_warnings():
        # MONAI 1.5 and 1.6 warn of an argument that they give themselves.
        warnings.filterwarnings("ignore", ".*always_return_as_numpy", FutureWarning)
        _, directions, _ = get_edge_surface_distance(
            ours, theirs, spacing=[spacing.row_mm, spacing.col_mm], symmetric=True
        )
    forth, back = (direction.numpy().astype(np.float64) for direction in directions)
    return BoundaryDistances(
        hd_mm=float(max(forth.max(), back.max())),
        hd95_mm=float(max(np.quantile(forth, _PERCENTILE), np.quantile(back, _PERCENTILE))),
        msd_mm=float(np.concatenate([forth, back]).mean()),
    )


@dataclass(frozen=True)
class Score:
    """Scores of a structure of an image; None is "not measurable", with the reason.

    ``predicted_planes`` and ``reference_planes`` count the frames or slices in which each mask has the
    structure, ``shared_planes`` those in which both have it; distances are means over these.
    """

    structure: str
    predicted_planes: int
    reference_planes: int
    shared_planes: int
    dice: float | None = None
    iou: float | None = None
    pixel_accuracy: float | None = None
    hd_mm: float | None = None
    hd95_mm: float | None = None
    msd_mm: float | None = None
    overlap_reason: str = ""
    distance_reason: str = ""


def score(
    predicted: NDArray[np.uint8],
    reference: NDArray[np.uint8],
    *,
    structure: str,
    values: tuple[int, ...],
    spacing: Spacing | None,
    volume: bool,
) -> Score:
    """Compare a structure in all planes of an image.

    Dice, IoU and pixel accuracy are means over the frames in which either mask has the structure or, for a
    volume, values over all slices together. Where only one mask has it, Dice and IoU are 0 and there is no
    distance. Pixel accuracy is the share of pixels on which both masks agree; most are background. A
    structure of several values is present only where all of its values are.

    Parameters
    ----------
    predicted, reference : ndarray of uint8, shape (T, H, W) or (Z, H, W)
        Label values.
    structure : str
        Its name, for the result.
    values : tuple of int
        Mask values that it is made of, as `cardiolabel.measurements.structures.structure_values` has them.
    spacing : Spacing or None
        Pixel size; without it there are no distances.
    volume : bool
        Whether the planes are slices of one volume rather than frames.

    Raises
    ------
    ImageContentError
        The masks differ in shape or are not three axes.

    Examples
    --------
    >>> masks = np.zeros((1, 30, 30), np.uint8)
    >>> masks[:, 5:15, 5:15] = 1
    >>> found = score(masks, np.roll(masks, 5, axis=1), structure="lv_cavity", values=(1,),
    ...               spacing=Spacing(0.5, 1.0), volume=False)
    >>> found.dice, round(found.iou, 4), found.hd_mm
    (0.5, 0.3333, 2.5)
    """
    check_shapes(predicted, reference, axes=3)
    ours, theirs = (_planes_with(masks, values, volume=volume) for masks in (predicted, reference))
    either = np.flatnonzero(ours | theirs)
    shared = np.flatnonzero(ours & theirs)
    counts = int(ours.sum()), int(theirs.sum()), len(shared)
    if not either.size:
        return Score(structure, *counts, overlap_reason=IN_NEITHER, distance_reason=IN_NEITHER)
    if volume:
        overlaps = [_overlap(predicted, reference, values, shared=bool(ours.any() and theirs.any()))]
    else:
        overlaps = [
            _overlap(predicted[at], reference[at], values, shared=bool(ours[at] and theirs[at]))
            for at in either
        ]
    overlap, iou, accuracy = np.mean(overlaps, axis=0).tolist()
    distances, reason = [], ""
    if spacing is None:
        reason = NO_SPACING
    elif not shared.size:
        reason = _empty(bool(ours.any()), bool(theirs.any()))
    else:
        planes = ((np.isin(predicted[at], values), np.isin(reference[at], values)) for at in shared)
        distances = [astuple(boundary_distances(*both, spacing=spacing)) for both in planes]
    hd, hd95, msd = np.mean(distances, axis=0).tolist() if distances else (None, None, None)
    return Score(structure, *counts, overlap, iou, accuracy, hd, hd95, msd, distance_reason=reason)


def _planes_with(masks: NDArray[np.uint8], values: tuple[int, ...], *, volume: bool) -> NDArray[np.bool_]:
    """In which planes (T,) a mask has a structure; a volume without one of the values does not have it."""
    each = np.array([(masks == value).any(axis=(1, 2)) for value in values])
    if not volume:
        return np.asarray(each.all(axis=0))
    return np.asarray(each.any(axis=0) & each.any(axis=1).all())


def _overlap(
    ours: NDArray[np.uint8], theirs: NDArray[np.uint8], values: tuple[int, ...], *, shared: bool
) -> tuple[float, float, float]:
    overlap = dice(ours, theirs, values) if shared else 0.0
    same = np.isin(ours, values) == np.isin(theirs, values)
    return overlap, overlap / (2 - overlap), float(same.mean())


def _empty(ours: bool, theirs: bool) -> str:
    if ours:
        return APART if theirs else NOT_IN_REFERENCE
    return NOT_PREDICTED if theirs else IN_NEITHER
