"""Mask files for viewers: NIfTI in the image's own shape, NRRD for 3D Slicer."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiolabel.io import nifti, nrrd
from cardiolabel.io.grid import Grid
from lib.files import temporary

SUFFIXES = (*nifti.SUFFIXES, nrrd.SUFFIX)
"""Endings of mask files that are read and written; ``.nii.gz`` before ``.nii``."""


def suffix(name: str) -> str | None:
    """Return the member of `SUFFIXES` that a file name ends in.

    >>> suffix("patient0001_4CH_ED.nii.gz")
    '.nii.gz'
    """
    return next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)


def write(frames: NDArray[np.uint8], grid: Grid, extension: str, *, like: Path | None = None) -> Path:
    """Write masks to a new temporary file, which the caller removes.

    Parameters
    ----------
    frames : ndarray, shape (T, H, W)
        Label values.
    grid : Grid
        Geometry of the image's file.
    extension : str
        One of `SUFFIXES`. NIfTI has the image's own shape; NRRD is always three-dimensional, ``(W, H, T)``,
        since Slicer segments nothing else.
    like : Path, optional
        The image's file. NRRD takes its geometry as ITK reads it, which is how Slicer shows the image.
    """
    handle, name = tempfile.mkstemp(dir=temporary.home(), suffix=extension)
    os.close(handle)
    path = Path(name)
    if extension == nrrd.SUFFIX:
        path.write_bytes(nrrd.nrrd_bytes(frames, nrrd.geometry_of(grid, like)))
    else:
        path.write_bytes(nifti.mask_bytes(frames, grid, compressed=extension.endswith(".gz")))
    return path
