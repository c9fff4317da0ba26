"""Agreement of two masks of one image, structure by structure: overlap, distance, and the worst frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import LabelSet, Spacing
from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.hausdorff import hausdorff_mm
from cardiolabel.measurements.mask_shapes import check_shapes
from cardiolabel.measurements.overlap import dice
from cardiolabel.measurements.structures import structure_values


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

    The epicardium of a frame is compared only where it has cavity and myocardium; a cavity alone says nothing
    about the outer border.

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
    check_shapes(ours, theirs, axes=3)
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
        structure,
        len(frames),
        len(shared),
        float(overlap),
        hd_mm=float(np.mean(distances)) if distances else None,
        worst_hd_mm=None if worst is None else distances[worst],
        worst_frame=None if worst is None else int(shared[worst]),
        reasons=tuple(reasons),
    )


def _has(masks: NDArray[np.uint8], values: tuple[int, ...]) -> NDArray[np.bool_]:
    """In which frames ``(T,)`` a mask holds every value of a structure."""
    has_all: NDArray[np.bool_] = np.all([(masks == value).any(axis=(1, 2)) for value in values], axis=0)
    return has_all


def _words(structure: str) -> str:
    return structure.replace("_", " ").replace("lv ", "LV ")
