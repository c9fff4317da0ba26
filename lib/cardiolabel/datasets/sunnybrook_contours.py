"""Sunnybrook's contours: text files of outlines, and the masks that they make.

A line is ``x y`` in pixels, in steps of half a pixel. Counting is MATLAB's: the centre of the first
pixel is at (1, 1), as the challenge's own evaluation fills contours with ``poly2mask``. The images
agree: over 74 endocardial contours the edge of the cavity lies at ``(x, y) - (0.97, 0.97)`` ± 0.1 in
pixels counted from 0.

References
----------
Radau et al. 2009, Evaluation framework for algorithms segmenting short axis cardiac MRI, The MIDAS
Journal, http://hdl.handle.net/10380/3070
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import ACDC_LABELS
from cardiolabel.errors import DatasetError
from cardiolabel.geometry.polygon import fill_polygon
from cardiolabel.io.text_files import decoded

__all__ = ["Kind", "contour_files", "read_contour", "slice_mask"]

_NAME = re.compile(r"IM-\d+-(\d+)-(i|o|p\d)contour-manual\.txt", re.IGNORECASE)
_FIRST_PIXEL = 1.0


class Kind(StrEnum):
    """Structure that an outline encloses: endocardium, epicardium, or a papillary muscle."""

    ENDOCARDIUM = "i"
    EPICARDIUM = "o"
    PAPILLARY = "p"


@dataclass(frozen=True)
class ContourFile:
    """File of a contour, and the number of its image."""

    path: Path
    image_number: int
    kind: Kind


def contour_files(folder: Path) -> tuple[ContourFile, ...]:
    """Return the contours of one patient, in the folder or its subfolders; empty files are ignored."""
    contours = []
    for path in sorted(folder.rglob("*.[tT][xX][tT]")):
        match = _NAME.fullmatch(path.name)
        if match and path.stat().st_size:
            contours.append(ContourFile(path, int(match[1]), Kind(match[2][0].lower())))
    return tuple(contours)


def read_contour(path: Path) -> NDArray[np.float64]:
    """Read a contour.

    Returns
    -------
    ndarray, shape (N, 2)
        (row, col) in pixels, the centre of the first pixel at (0, 0).

    Raises
    ------
    DatasetError
        The file cannot be read, a line is not ``x y``, or the points enclose nothing.
    """
    try:
        lines = decoded(path.read_bytes()).splitlines()
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path.name}: cannot be read ({error}); download it again") from error
    points = [
        _point(line, f"{path.name}, line {number}") for number, line in enumerate(lines, 1) if line.strip()
    ]
    if len(points) < 3:
        raise DatasetError(f"{path.name}: {len(points)} points enclose nothing; download it again")
    return np.array(points)[:, ::-1] - _FIRST_PIXEL


def slice_mask(
    outlines: Mapping[Kind, list[NDArray[np.float64]]],
    shape: tuple[int, int],
    *,
    papillary_in_cavity: bool = True,
) -> NDArray[np.uint8]:
    """Return one slice's mask with `ACDC_LABELS`, 0 where nothing was drawn.

    Parameters
    ----------
    outlines : mapping of Kind to list of ndarray
        As `read_contour` gives them; any kind may be missing. Myocardium is what lies between
        epicardium and endocardium, and unknown where the epicardium was not drawn.
    shape : tuple of int
        (H, W) of the slice.
    papillary_in_cavity : bool
        Papillary muscles are part of the cavity, as the guideline has it. If False they are taken out
        of it: myocardium where the epicardium was drawn, else left unlabelled.

    References
    ----------
    Schulz-Menger et al. 2020, SCMR post-processing, doi 10.1186/s12968-020-00610-6.
    """
    filled = {
        kind: np.any([fill_polygon(outline, shape) for outline in outlines.get(kind, [])], axis=0)
        if outlines.get(kind)
        else np.zeros(shape, dtype=np.bool_)
        for kind in Kind
    }
    cavity = filled[Kind.ENDOCARDIUM]
    if not papillary_in_cavity:
        cavity = cavity & ~filled[Kind.PAPILLARY]
    mask = np.zeros(shape, dtype=np.uint8)
    mask[filled[Kind.EPICARDIUM]] = ACDC_LABELS.value("myocardium")
    mask[cavity] = ACDC_LABELS.value("lv_cavity")
    return mask


def _point(line: str, where: str) -> tuple[float, float]:
    try:
        x, y = (float(word) for word in line.split())
    except ValueError as error:
        raise DatasetError(f"{where}: {line!r}; expected two numbers, x y") from error
    if not np.isfinite([x, y]).all():
        raise DatasetError(f"{where}: {line!r}; expected two finite numbers, x y")
    return x, y
