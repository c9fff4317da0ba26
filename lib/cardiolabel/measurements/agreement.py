"""How well two readings of the same cases agree: overlap and distance of masks, bias and limits of values.

Nothing here knows who read: two annotators, or a model and its reference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree
from scipy.special import stdtrit

from cardiolabel.domain import LabelSet, Spacing
from cardiolabel.errors import ImageContentError, MeasurementError

MIN_PAIRS = 3
"""Fewest pairs that say anything about the spread of their differences."""

_LIMIT_SD = 1.96
_CONFIDENCE = 0.95


def structure_values(labels: LabelSet) -> dict[str, tuple[int, ...]]:
    """Structures that a label set lets one compare, and the mask values that each is made of.

    Those of the set, in its order, and ``epicardium``: cavity and myocardium together, where the set
    has both.

    >>> structure_values(LabelSet("wall", (("lv_cavity", 1), ("myocardium", 2))))
    {'lv_cavity': (1,), 'myocardium': (2,), 'epicardium': (1, 2)}
    """
    found: dict[str, tuple[int, ...]] = {name: (value,) for name, value in labels.values}
    if labels.has("lv_cavity") and labels.has("myocardium"):
        found["epicardium"] = (labels.value("lv_cavity"), labels.value("myocardium"))
    return found


def dice(ours: NDArray[np.uint8], theirs: NDArray[np.uint8], values: tuple[int, ...]) -> float:
    """Dice overlap of the union of label values; NaN where neither mask has any of them.

    Parameters
    ----------
    ours, theirs : ndarray of uint8, the same shape
    values : tuple of int
        Mask values that make up the structure, as `structure_values` gives them.

    Raises
    ------
    ImageContentError
        The masks differ in shape.

    References
    ----------
    Dice 1945, doi 10.2307/1932409.

    Examples
    --------
    >>> dice(np.array([1, 1, 0], np.uint8), np.array([1, 0, 0], np.uint8), (1,))
    0.6666666666666666
    """
    _check_shapes(ours, theirs, axes=None)
    one, other = np.isin(ours, values), np.isin(theirs, values)
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else float("nan")


def hausdorff_mm(
    ours: NDArray[np.uint8], theirs: NDArray[np.uint8], values: tuple[int, ...], *, spacing: Spacing | None
) -> float:
    """Hausdorff distance of a structure's boundaries in one frame, mm.

    The largest distance from a boundary pixel of either mask to the nearest one of the other, between
    pixel centres. A pixel is on the boundary if one of its four neighbours is not of the structure or
    lies beyond the image.

    Parameters
    ----------
    ours, theirs : ndarray of uint8, shape (H, W)
    values : tuple of int
        Mask values that make up the structure, as `structure_values` gives them.
    spacing : Spacing or None
        Pixel size, which may differ along rows and columns.

    Raises
    ------
    MeasurementError
        A mask does not have the structure, or there is no pixel size; the message is the reason.
    ImageContentError
        The masks differ in shape or are not (H, W).

    References
    ----------
    Huttenlocher et al. 1993, doi 10.1109/34.232073, equation 1.

    Examples
    --------
    >>> one, other = np.zeros((2, 30, 30), np.uint8)
    >>> one[5:15, 5:15] = other[5:15, 9:19] = 1  # the same square, four columns on
    >>> hausdorff_mm(one, other, (1,), spacing=Spacing(row_mm=1.0, col_mm=0.5))
    2.0
    """
    _check_shapes(ours, theirs, axes=2)
    if spacing is None:
        raise MeasurementError("the file carries no pixel spacing")
    one, other = np.isin(ours, values), np.isin(theirs, values)
    missing = [name for name, inside in (("first", one), ("second", other)) if not inside.any()]
    if missing:
        raise MeasurementError(f"the {' and the '.join(missing)} mask does not have the structure")
    window = _bounding_box(one | other)
    scale = np.array([spacing.row_mm, spacing.col_mm])
    ours_mm, theirs_mm = (_boundary_px(inside[window]) * scale for inside in (one, other))
    away_mm = max(KDTree(theirs_mm).query(ours_mm)[0].max(), KDTree(ours_mm).query(theirs_mm)[0].max())
    return float(away_mm)


@dataclass(frozen=True)
class StructureAgreement:
    """Two masks of one image compared in one structure; None is "not measurable".

    ``frames`` counts those where either mask has the structure, ``shared_frames`` those where both do,
    among the frames that both read: of a cine, those that both masks label at all.
    ``dice`` is the mean over ``frames``, 0 where only one mask has it; ``hd_mm`` the mean of the
    Hausdorff distance over ``shared_frames``, which is ``worst_hd_mm`` in ``worst_frame`` (from 0).
    """

    structure: str
    frames: int
    shared_frames: int
    dice: float | None
    hd_mm: float | None
    worst_hd_mm: float | None
    worst_frame: int | None
    reasons: tuple[str, ...]


def compare_masks(
    ours: NDArray[np.uint8],
    theirs: NDArray[np.uint8],
    *,
    labels: LabelSet,
    spacing: Spacing | None,
    stack: bool,
    names: tuple[str, str] = ("the first", "the second"),
) -> tuple[StructureAgreement, ...]:
    """Compare two masks of one image, structure by structure.

    A mask has the epicardium in a frame only if it has cavity and myocardium there; a cavity alone
    says nothing about the outer border.

    Parameters
    ----------
    ours, theirs : ndarray of uint8, shape (T, H, W)
        Label values.
    labels : LabelSet
        What the values mean; decides the structures, see `structure_values`.
    spacing : Spacing or None
        Pixel size; without it there is a Dice and no distance.
    stack : bool
        Whether these are slices of a volume: an empty one is then a statement too.
    names : tuple of str
        Whose masks these are, for the reasons.

    Raises
    ------
    ImageContentError
        The masks differ in shape or are not (T, H, W).

    Examples
    --------
    >>> masks = np.zeros((1, 30, 30), np.uint8)
    >>> masks[:, 5:15, 5:15] = 1
    >>> cavity = LabelSet("cavity", (("lv_cavity", 1),))
    >>> moved, pixels = np.roll(masks, 5, axis=1), Spacing(row_mm=0.5, col_mm=1.0)
    >>> (found,) = compare_masks(masks, moved, labels=cavity, spacing=pixels, stack=False)
    >>> found.dice, found.hd_mm
    (0.5, 2.5)
    """
    _check_shapes(ours, theirs, axes=3)
    # Whoever labels ED and ES of a cine says nothing about its other frames.
    both = np.ones(len(ours), dtype=bool)
    if len(ours) > 1 and not stack:
        both = ours.any(axis=(1, 2)) & theirs.any(axis=(1, 2))
    return tuple(
        _compare(ours, theirs, structure, values, spacing, names, both)
        for structure, values in structure_values(labels).items()
    )


def _compare(
    ours: NDArray[np.uint8],
    theirs: NDArray[np.uint8],
    structure: str,
    values: tuple[int, ...],
    spacing: Spacing | None,
    names: tuple[str, str],
    both: NDArray[np.bool_],
) -> StructureAgreement:
    in_ours, in_theirs = _has(ours, values) & both, _has(theirs, values) & both
    frames, shared = np.flatnonzero(in_ours | in_theirs), np.flatnonzero(in_ours & in_theirs)
    if not frames.size:
        where = "" if both.all() else f" in the {both.sum()} frames that both labelled"
        reason = f"neither {names[0]} nor {names[1]} has the {_words(structure)}{where}"
        return StructureAgreement(structure, 0, 0, None, None, None, None, (reason,))
    overlap = sum(dice(ours[frame], theirs[frame], values) for frame in shared) / len(frames)
    reasons = [
        f"only {name} has the {_words(structure)} in {count} of {len(frames)} frames: Dice is 0 there, and "
        "there is no distance"
        for name, count in (
            (names[0], int((in_ours & ~in_theirs).sum())),
            (names[1], int((in_theirs & ~in_ours).sum())),
        )
        if count
    ]
    distances: list[float] = []
    try:
        distances = [hausdorff_mm(ours[at], theirs[at], values, spacing=spacing) for at in shared]
    except MeasurementError as error:
        reasons.append(f"no distance in mm: {error}")
    worst = int(np.argmax(distances)) if distances else None
    return StructureAgreement(
        structure, len(frames), len(shared), float(overlap),
        hd_mm=float(np.mean(distances)) if distances else None,
        worst_hd_mm=None if worst is None else distances[worst],
        worst_frame=None if worst is None else int(shared[worst]),
        reasons=tuple(reasons),
    )  # fmt: skip


@dataclass(frozen=True)
class Agreement:
    """How paired values of one unit agree, first minus second.

    ``r`` is Pearson's, None where either side does not vary; ``mae`` the mean absolute difference;
    ``bias`` and ``sd`` are the mean and the sample standard deviation of the differences.
    """

    count: int
    r: float | None
    mae: float
    bias: float
    sd: float

    @property
    def limits(self) -> tuple[float, float]:
        """Lower and upper 95 % limits of agreement, ``bias ± 1.96 SD``."""
        return self.bias - _LIMIT_SD * self.sd, self.bias + _LIMIT_SD * self.sd

    @property
    def bias_margin(self) -> float:
        """Half the width of the 95 % confidence interval of the bias."""
        return self._t * self.sd / math.sqrt(self.count)

    @property
    def limit_margin(self) -> float:
        """Half the width of the 95 % confidence interval of either limit, from ``SE = sqrt(3/n) SD``."""
        return self._t * self.sd * math.sqrt(3 / self.count)

    @property
    def _t(self) -> float:
        return float(stdtrit(self.count - 1, (1 + _CONFIDENCE) / 2))


def agreement(
    first: NDArray[np.float64], second: NDArray[np.float64], *, cases: str = "pairs of values"
) -> Agreement:
    """Agreement of paired values.

    Parameters
    ----------
    first, second : ndarray, shape (N,)
        Finite values of one unit; the bias is first minus second.
    cases : str
        What the pairs are, for the reason.

    Raises
    ------
    MeasurementError
        Fewer than three pairs; the message is the reason.
    ValueError
        The shapes differ, or a value is not finite.

    References
    ----------
    Bland and Altman 1986, doi 10.1016/S0140-6736(86)90837-8.

    Examples
    --------
    >>> found = agreement(np.array([50.0, 60, 70]), np.array([52.0, 60, 68]))
    >>> found.mae, found.limits
    (1.3333333333333333, (-3.92, 3.92))
    """
    check_pairs(first, second, "agreement", cases)
    difference = first - second
    varies = np.ptp(first) > 0 and np.ptp(second) > 0
    return Agreement(
        count=len(difference),
        r=float(np.corrcoef(first, second)[0, 1]) if varies else None,
        mae=float(np.abs(difference).mean()),
        bias=float(difference.mean()),
        sd=float(difference.std(ddof=1)),
    )


def check_pairs(
    first: NDArray[np.float64], second: NDArray[np.float64], what: str, cases: str = "pairs"
) -> None:
    """Refuse pairs of values that nothing can be said of.

    Parameters
    ----------
    first, second : ndarray, shape (N,)
    what, cases : str
        What is to be found, and what the pairs are, for the message.

    Raises
    ------
    MeasurementError
        Fewer than three pairs.
    ValueError
        The shapes differ, or a value is not finite.
    """
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"{what} takes two rows of equal length, got {first.shape} and {second.shape}")
    if len(first) < MIN_PAIRS:
        raise MeasurementError(f"{what} needs at least {MIN_PAIRS} {cases}, found {len(first)}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError(f"{what} takes finite values; leave out pairs where one is missing")


def _check_shapes(ours: NDArray[np.uint8], theirs: NDArray[np.uint8], *, axes: int | None) -> None:
    if ours.shape != theirs.shape or axes not in (None, ours.ndim):
        expected = {None: "one shape", 2: "one shape (H, W)", 3: "one shape (T, H, W)"}[axes]
        raise ImageContentError(f"two masks of {expected} are compared, got {ours.shape} and {theirs.shape}")


def _has(masks: NDArray[np.uint8], values: tuple[int, ...]) -> NDArray[np.bool_]:
    """In which frames ``(T,)`` a mask holds every value of a structure."""
    found: NDArray[np.bool_] = np.all([(masks == value).any(axis=(1, 2)) for value in values], axis=0)
    return found


def _words(structure: str) -> str:
    return structure.replace("_", " ").replace("lv ", "LV ")


def _bounding_box(inside: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, cols = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)


def _boundary_px(inside: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Pixels ``(N, 2)`` of a structure that have a neighbour outside it; beyond the array is outside."""
    return np.argwhere(inside & ~binary_erosion(inside))
