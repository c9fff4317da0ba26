"""Which frames and structures of an image a reference labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardiolabel.datasets import sunnybrook
from cardiolabel.datasets.sunnybrook_patient import myocardium_drawn
from cardiolabel.domain import Phase, Record

_OF_WALL = frozenset({"myocardium", "epicardium"})


@dataclass(frozen=True, eq=False)
class Part:
    """Planes (N,) of an image at one phase."""

    phase: Phase
    planes: NDArray[np.intp]


def labelled_parts(record: Record, reference: NDArray[np.uint8]) -> tuple[Part, ...]:
    """Return the planes that a reference labels: all of a still or a stack, the labelled frames of a cine.

    A reference with labels at ED and ES of a cine says nothing about its other frames. Frames that the record
    names are at ED and ES, all others at phase ``cine``.

    Parameters
    ----------
    record : Record
    reference : ndarray of uint8, shape (T, H, W) or (Z, H, W)

    Returns
    -------
    tuple of Part
        Without any where the reference is empty.
    """
    if not reference.any():
        return ()
    if record.view.is_stack or len(reference) == 1:
        return (Part(record.phase, np.arange(len(reference))),)
    labelled = np.flatnonzero(reference.any(axis=(1, 2)))
    phases: dict[Phase, list[int]] = {}
    for frame in labelled.tolist():
        phase = {record.ed_frame: Phase.ED, record.es_frame: Phase.ES}.get(frame + 1, Phase.CINE)
        phases.setdefault(phase, []).append(frame)
    return tuple(Part(phase, np.array(frames)) for phase, frames in phases.items())


def drawn_planes(record: Record, reference: NDArray[np.uint8], structure: str) -> NDArray[np.bool_]:
    """Return the planes (T,) or (Z,) in which a reference labels a structure, or shows its absence.

    Sunnybrook's contours leave out the myocardium at ES and never show the right ventricle: there, 0 does not
    mean background.

    Parameters
    ----------
    record : Record
    reference : ndarray of uint8, shape (T, H, W) or (Z, H, W)
    structure : str
        As `cardiolabel.measurements.structures.structure_values` names it.
    """
    if record.dataset == sunnybrook.NAME and structure in _OF_WALL:
        return myocardium_drawn(reference)
    drawn = record.dataset != sunnybrook.NAME or structure != "right_ventricle"
    return np.full(len(reference), drawn)
