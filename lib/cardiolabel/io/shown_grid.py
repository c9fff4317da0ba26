"""Geometry in which viewers show an image, and copies of images that they would show elsewhere.

Viewers read every file as a volume. Frames of a cine become slices some hundredths of a millimetre apart,
which 3-D tools merge; a still of two axes loses the third axis of its header; and 3D Slicer does not open
files of four axes.
"""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Record, View
from cardiolabel.io.grid import Grid
from cardiolabel.io.image_file import ImageFile

__all__ = ["FRAME_STEP_MM", "copy_bytes", "is_cine", "opens_as_shown", "shown_grid"]

FRAME_STEP_MM = 10.0
"""Distance in mm between the frames of a cine in a viewer, beyond the reach of 3-D smoothing."""

_SLICES_MM = 3.0
"""Smallest distance in mm between slices; the step between frames, mostly a time in seconds or 1, is less."""

_PIXELS_AT, _NO_EXTENSION = 352, bytes(4)


def is_cine(record: Record, grid: Grid) -> bool:
    """Return whether an image's third axis counts frames.

    Parameters
    ----------
    record : Record
        A stack of slices is never a cine. An image of unknown view is none if its step is that of slices.
    grid : Grid
        Geometry of its file.
    """
    if record.is_stack or grid.frames_shape[0] == 1:
        return False
    return record.view is not View.UNKNOWN or (grid.slice_spacing_mm or 0.0) <= _SLICES_MM


def shown_grid(grid: Grid, *, cine: bool) -> Grid:
    """Return the geometry in which a viewer shows an image: three axes, and frames that are far apart.

    Parameters
    ----------
    grid : Grid
        Geometry of the image's file.
    cine : bool
        Whether its third axis counts frames, which are then at least `FRAME_STEP_MM` apart.

    Returns
    -------
    Grid
        Of shape ``(W, H, T)``, in mm. Without a pixel size, of 1 mm pixels, as viewers take them.

    Examples
    --------
    >>> shown_grid(Grid((4, 3, 20), np.diag([-0.3, -0.3, 0.04, 1.0])), cine=True).affine[2, 2]
    10.0
    """
    affine = grid.affine_mm.copy() if grid.spacing else np.diag([-1.0, -1.0, 1.0, 1.0])
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    normal /= np.linalg.norm(normal)
    along_mm = float(normal @ affine[:3, 2])
    if cine:
        affine[:3, 2] = normal * np.copysign(max(abs(along_mm), FRAME_STEP_MM), along_mm or 1.0)
    else:
        affine[:3, 2] = normal * (along_mm or 1.0)
    return Grid(grid.frames_shape[::-1], affine.astype(np.float32).astype(np.float64))


def opens_as_shown(grid: Grid, *, cine: bool) -> bool:
    """Return whether viewers open an image's own file in its `shown_grid`; parameters as there."""
    if len(grid.shape) == 2:
        # ITK forgets what a still's header says of the third axis.
        return grid.spacing is None or not grid.affine_mm[2, [0, 1, 3]].any()
    if len(grid.shape) == 4 and grid.shape[3] > 1:
        return False
    if grid.is_sheared:
        return False  # ITK opens no sheared file
    return not cine or (grid.slice_spacing_mm or 0.0) >= FRAME_STEP_MM


def copy_bytes(image: ImageFile, shown: Grid) -> bytes:
    """Return a copy of an image as ``.nii.gz`` that viewers open in its `shown_grid`.

    A pixel size that the image does not state is not stated in the copy either.
    """
    array = image.clip.pixels.transpose(2, 1, 0)
    array = array.astype(np.float32 if array.dtype.kind == "f" else array.dtype.newbyteorder("="), copy=False)
    header = _header(array, shown.affine, calibrated=image.grid.spacing is not None)
    return gzip.compress(header + array.tobytes(order="F"), compresslevel=1, mtime=0)


def _header(array: NDArray[np.generic], affine: NDArray[np.float64], *, calibrated: bool) -> bytes:
    image = nib.Nifti1Image(array, affine if calibrated else None, dtype=array.dtype)
    image.update_header()
    header = image.header
    if not calibrated:
        header["pixdim"][1:4] = 0, 0, abs(affine[2, 2])
    header.set_xyzt_units("mm" if calibrated else "unknown")
    header.set_slope_inter(1, 0)
    header["vox_offset"] = _PIXELS_AT
    block: bytes = header.binaryblock + _NO_EXTENSION
    return block
