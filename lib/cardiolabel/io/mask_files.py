"""Masks of any program, aligned with the image that they were drawn on.

A mask is joined to its image by the place of its voxels, whatever the order of its axes, and by the names of
its values. A mask that lies elsewhere is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import LabelSet
from cardiolabel.errors import ImageContentError, ImageReadError
from cardiolabel.io import metaimage, nifti, nrrd
from cardiolabel.io.grid import Grid
from cardiolabel.io.segments import Segment, label_values
from cardiolabel.io.whole_values import whole_values

__all__ = ["SUFFIXES", "holds_masks", "onto_image", "read_mask_on"]

SUFFIXES = (*nifti.SUFFIXES, ".seg.nrrd", nrrd.SUFFIX, *metaimage.SUFFIXES)
"""Endings of mask files, in order of preference where a folder holds several masks of one image."""

_ADVICE = "save the mask with its image's geometry"

_OFF_GRID = 0.3
"""Largest distance between the corners of a mask and its image, as a share of a voxel."""


def holds_masks(folder: Path) -> bool:
    """Return whether a folder holds any mask file, by name."""
    return any(path.name.lower().endswith(SUFFIXES) for path in folder.iterdir())


def read_mask_on(
    path: Path,
    grid: Grid,
    labels: LabelSet,
    *,
    stack: bool,
    segments: Mapping[int, str] | None = None,
    alone: bool = False,
) -> NDArray[np.uint8]:
    """Read a mask file of any of `SUFFIXES` as ``(T, H, W)``, in the order of its image.

    The size in its header is compared with the image's before any pixel is read.

    Parameters
    ----------
    path : Path
    grid : Grid
        Geometry of the image.
    labels : LabelSet
        Structures, and the values that they get.
    stack : bool
        Whether the image's third axis counts slices; between the frames of a cine there is no distance, and
        whatever the mask says of it is ignored.
    segments : mapping of int to str, optional
        Structures of the file's values, as its sender lists them; used where the file does not say it itself.
    alone : bool
        Refuse a file that holds anything besides its header and pixels, as whatever is uploaded must.

    Raises
    ------
    ImageReadError
        Not a readable file of one of `SUFFIXES`.
    ImageContentError
        The mask lies elsewhere than the image, has names or values that the label set does not have, or is
        not a mask.
    """
    _check_size(path, grid)
    frames, own, described = _read(path, alone=alone)
    listed = described or tuple(Segment(name, value) for value, name in (segments or {}).items())
    if listed:
        frames = label_values(frames, listed, labels, path.name)
    labels.check(frames, path.name)
    masks = frames.astype(np.uint8, copy=False)
    return onto_image(masks, own, grid, name=path.name, stack=stack, cropped=bool(described))


def onto_image(
    frames: NDArray[np.uint8], own: Grid, grid: Grid, *, name: str, stack: bool, cropped: bool = False
) -> NDArray[np.uint8]:
    """Reorder masks to the order of the image's voxels, by the places of both.

    A mask or an image without geometry is taken voxel by voxel, if their shapes are equal. So is a mask with
    an identity affine that does not lie on the image.

    Parameters
    ----------
    frames : ndarray of uint8, shape (T, H, W)
        Masks in their own order.
    own, grid : Grid
        Geometry of the masks and of the image.
    name : str
        The masks, for messages.
    stack : bool
        As for `read_mask_on`.
    cropped : bool
        The mask may cover a part of the image's voxels only, as 3D Slicer can crop a segmentation.

    Returns
    -------
    ndarray of uint8, shape (T, H, W) of the image

    Raises
    ------
    ImageContentError
        Not the same voxels up to rounding.
    """
    shape = grid.frames_shape
    if frames.shape == shape and np.array_equal(own.affine_mm, grid.affine_mm):
        return frames
    if (own.spacing is None or grid.spacing is None) and frames.shape == shape:
        return frames
    if own.spacing is None or grid.spacing is None:
        raise ImageContentError(f"{name}: {_other_shape(frames.shape, shape)}")
    problem = _difference(own, grid, frames.shape)
    if not own.placed and frames.shape == shape and own.spacing == grid.spacing:
        return frames  # it states sizes and no place: only the order of its voxels is left
    flat = len(frames) == shape[0] and (len(frames) == 1 or not stack)
    if stack and grid.step_problem:
        raise ImageContentError(
            f"{name}: in its image {grid.step_problem}; save the image with the right one"
        )
    ways: list[NDArray[np.uint8]] = []
    for theirs in grid.places_mm:
        ours, image = _same_step(own.affine_mm, theirs, len(frames)) if flat else (own.affine_mm, theirs)
        if not np.linalg.det(image[:3, :3]):
            unknown = "its image does not tell the distance between its slices"
            raise ImageContentError(f"{name}: {unknown if stack else problem}")
        moved = _moved(frames, np.linalg.inv(image) @ ours, shape, cropped=cropped)
        if moved is not None:
            ways.append(moved)
    if not ways and _is_identity(own) and frames.shape == shape:
        return frames
    if not ways:
        raise ImageContentError(f"{name}: {problem}")
    if any(not np.array_equal(ways[0], way) for way in ways[1:]):
        raise ImageContentError(f"{name}: its image's header puts the image in two places; mend the header")
    return ways[0]


def _check_size(path: Path, image: Grid) -> None:
    """Refuse a mask whose header states another size than its image has, in any order of axes."""
    name, may_be_cropped = path.name.lower(), False
    if name.endswith(nrrd.SUFFIX):
        header = nrrd.read_header(path)
        own, may_be_cropped = header.grid, bool(header.segments)
    elif name.endswith(metaimage.SUFFIXES):
        own = metaimage.read_grid(path)
    elif name.endswith(nifti.SUFFIXES):
        own = nifti.read_grid(path)
    else:
        raise ImageReadError(f"{path.name}: expected a mask ending in {', '.join(SUFFIXES)}")
    lengths = list(zip(sorted(own.frames_shape), sorted(image.frames_shape), strict=True))
    if not all(ours == theirs or (may_be_cropped and ours < theirs) for ours, theirs in lengths):
        raise ImageContentError(
            f"{path.name}: {_other_shape(own.frames_shape, image.frames_shape)}; {_ADVICE}"
        )


def _read(path: Path, *, alone: bool) -> tuple[NDArray[np.generic], Grid, tuple[Segment, ...]]:
    name = path.name.lower()
    if name.endswith(nrrd.SUFFIX):
        file = nrrd.read(path, alone=alone)
        return whole_values(file.frames, path.name), file.grid, file.segments
    if name.endswith(metaimage.SUFFIXES):
        return *metaimage.read_placed_mask(path, alone=alone), ()
    return *nifti.read_placed_mask(path, alone=alone), ()


def _is_identity(grid: Grid) -> bool:
    """Return whether a mask's geometry is the default of programs without one: steps of 1 mm from 0."""
    is_placed = grid.affine_mm[:3, 3].any()
    return not is_placed and np.array_equal(np.abs(grid.affine_mm[:3, :3]), np.eye(3))


def _same_step(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], frames: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both affines of a still or cine with 1 mm between frames and no shift out of the plane.

    A mask's frames run backwards where its third axis does and begins at the image's other end; a still may
    lie anywhere along its normal.
    """
    normal = np.cross(theirs[:3, 0], theirs[:3, 1])
    normal /= np.linalg.norm(normal)
    image, mask = theirs.copy(), ours.copy()
    backwards = frames > 1 and _runs_backwards(mask, image, frames)
    image[:3, 2] = normal
    mask[:3, 2] = -normal if backwards else normal
    away = float(normal @ (mask[:3, 3] - image[:3, 3]))
    mask[:3, 3] += ((frames - 1 if backwards else 0) - away) * normal
    return mask, image


def _runs_backwards(mask: NDArray[np.float64], image: NDArray[np.float64], frames: int) -> bool:
    step = mask[:3, 2]
    length = float(np.linalg.norm(step))
    if float(step @ image[:3, 2]) >= 0:
        return False
    away = -float(step @ (mask[:3, 3] - image[:3, 3])) / length**2
    return abs(away - (frames - 1)) < 0.5


def _moved(
    frames: NDArray[np.uint8], mapping: NDArray[np.float64], shape: tuple[int, int, int], *, cropped: bool
) -> NDArray[np.uint8] | None:
    """Return the frames at the image's voxels; None where the voxels differ.

    Parameters
    ----------
    frames : ndarray of uint8, shape (T, H, W)
    mapping : ndarray, shape (4, 4)
        From the mask's (column, row, frame) to the image's.
    shape : tuple of int
        ``(T, H, W)`` of the image.
    cropped : bool
        As for `onto_image`.
    """
    turn = np.rint(mapping[:3, :3])
    if not all((np.abs(turn).sum(axis=axis) == 1).all() for axis in (0, 1)):
        return None
    last = np.array(frames.shape[::-1]) - 1
    corners = np.stack(np.meshgrid(*((0, end) for end in last), indexing="ij"), axis=-1).reshape(-1, 3)
    placed = corners @ mapping[:3, :3].T + mapping[:3, 3]
    low, high = np.rint(placed.min(axis=0)).astype(int), np.rint(placed.max(axis=0)).astype(int)
    source = [int(np.flatnonzero(turn[axis])[0]) for axis in range(3)]  # of the image's axes, the mask's
    on_grid = np.abs(placed - np.rint(placed)).max() <= _OFF_GRID
    as_long = np.array_equal(high - low, last[source])
    if not on_grid or not as_long or (low < 0).any() or (high >= np.array(shape[::-1])).any():
        return None
    flips = tuple(slice(None, None, int(turn[axis, source[axis]])) for axis in (2, 1, 0))
    turned = frames.transpose(*(2 - source[axis] for axis in (2, 1, 0)))[flips]
    if turned.shape != shape and not cropped:
        return None
    whole = np.zeros(shape, dtype=np.uint8)
    whole[tuple(slice(low[axis], high[axis] + 1) for axis in (2, 1, 0))] = turned
    return whole


def _difference(own: Grid, grid: Grid, shape: tuple[int, ...]) -> str:
    """Describe how a mask's voxels differ from its image's."""
    if sorted(shape) != sorted(grid.frames_shape):
        return f"{_other_shape(shape, grid.frames_shape)}; {_ADVICE}"
    ours, theirs = own.spacing, grid.spacing
    if (
        ours
        and theirs
        and not np.allclose(
            sorted((ours.row_mm, ours.col_mm)), sorted((theirs.row_mm, theirs.col_mm)), rtol=0.01
        )
    ):
        return (
            f"pixels of {ours.row_mm:.4g} x {ours.col_mm:.4g} mm (rows x columns), the image's are"
            f" {theirs.row_mm:.4g} x {theirs.col_mm:.4g} mm; {_ADVICE}"
        )
    return f"lies elsewhere than its image, or is turned against it; {_ADVICE}"


def _other_shape(shape: tuple[int, ...], image: tuple[int, ...]) -> str:
    return f"does not fit its image: {_axes(shape)}, the image has {_axes(image)}"


def _axes(shape: tuple[int, ...]) -> str:
    planes, rows, cols = shape
    return f"{planes} frame{'s' if planes != 1 else ''} of {rows} x {cols} pixels"
