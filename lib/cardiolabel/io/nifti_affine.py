"""Choice among a NIfTI header's three statements about its geometry.

A header has voxel sizes in ``pixdim``, a placement by quaternion (``qform``, which uses them) and one by
matrix (``sform``, with sizes of its own). They can disagree. As in ITK, 3D Slicer and nnU-Net, a coded qform
makes ``pixdim`` decide the voxel sizes; contradictions that no rule settles are refused.

References
----------
NIfTI-1 standard, https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h, section on methods 1 to 3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from cardiolabel.errors import ImageContentError

__all__ = ["Placement", "place"]

_FIELDS = (
    *("pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)
"""Fields of a header that define its geometry, except the shape."""

_SCANNER = 1
"""Code of an sform in scanner coordinates."""

_SAME_SIZE = 2e-3
_SAME_VOLUME = 1e-2
_RIGHT_ANGLE = 0.01
"""Largest cosine between rows and columns that count as perpendicular: 0.6 degrees."""

_STEP = "the distance between slices is {:.6g} {unit} by pixdim and {:.6g} {unit} by the sform"

Affine = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Placement:
    """Placement of a header's voxels, in the header's unit.

    Parameters
    ----------
    affine : ndarray, shape (4, 4)
        Zeros where the header declares no pixel size; its third column is zeros where it declares no step.
    step_problem : str
        Empty, or in words what contradicts what along the third axis.
    otherwise : ndarray, shape (4, 4), optional
        Where nibabel puts the voxels, if not where ITK does, whose place is ``affine``.
    placed : bool
        Whether the header says where its voxels lie, or only how large they are.
    """

    affine: Affine
    step_problem: str = ""
    otherwise: Affine | None = None
    placed: bool = True


def place(header: Any, name: str) -> Placement:
    """Return the placement of a header's voxels.

    Parameters
    ----------
    header : nibabel NIfTI header
        As written: not yet corrected by nibabel.
    name : str
        The file, for messages.

    Raises
    ------
    ImageContentError
        Two pixel sizes or two voxel volumes that contradict each other with nothing to settle it, or rows
        and columns that are not perpendicular.
    """
    geometry = b"".join(header[field].tobytes() for field in _FIELDS)
    try:
        placement = _place(isinstance(header, Nifti2Header), header.endianness, geometry)
    except ImageContentError as error:
        raise ImageContentError(f"{name}: {error}") from None
    return placement or _unplaced(header)


@lru_cache(maxsize=512)
def _place(is_nifti2: bool, endianness: str, geometry: bytes) -> Placement | None:
    """Return `place` for the bytes of `_FIELDS`, cached, as files of one scanner share them; None without a
    place.
    """
    header = (Nifti2Header if is_nifti2 else Nifti1Header)(endianness=endianness)
    start = 0
    for field in _FIELDS:
        stored = header[field]
        header[field] = np.frombuffer(geometry, stored.dtype, stored.size, start).reshape(stored.shape)
        start += stored.nbytes
    sizes, unit = _sizes(header), _unit(header)
    by_matrix, by_quaternion = _sform(header), _qform(header, sizes)
    if by_matrix is not None and by_quaternion is not None:
        chosen = _of_both(by_matrix, by_quaternion, scanner=int(header["sform_code"]) == _SCANNER)
    elif by_matrix is not None:
        chosen = _of_matrix(by_matrix, sizes, unit)
    elif by_quaternion is not None:
        chosen = by_quaternion
    else:
        return None
    _refuse_slanted(chosen)
    placement = _with_step(chosen, sizes, coded=by_quaternion is not None, unit=unit)
    if by_matrix is not None and by_quaternion is not None and _moves(by_matrix, chosen):
        placement = replace(placement, otherwise=by_matrix)
    placement.affine.setflags(write=False)  # many images will share it
    return placement


def _sform(header: Any) -> Affine | None:
    """Return the coded sform; None where its rows and columns span no plane."""
    if not header["sform_code"] > 0:
        return None
    affine = np.asarray(header.get_sform(), dtype=np.float64)
    if not np.isfinite(affine[:3, 2]).all():
        affine[:3, 2] = 0.0
    return affine if _spans_plane(affine) else None


def _qform(header: Any, sizes: NDArray[np.float64]) -> Affine | None:
    """Return the coded qform; None where it has no sizes or its quaternion is none."""
    if not header["qform_code"] > 0 or not (sizes[:2] > 0).all():
        return None
    turned = header.copy()
    turned["pixdim"][1:4] = np.where(sizes > 0, sizes, 1.0)
    try:
        affine = np.asarray(turned.get_qform(), dtype=np.float64)
    except (HeaderDataError, ValueError):
        return None
    affine[:3, 2] *= sizes[2] > 0
    return affine if np.isfinite(affine).all() else None


def _sizes(header: Any) -> NDArray[np.float64]:
    """Return the voxel sizes by pixdim, 0 where it states none."""
    sizes = np.abs(np.asarray(header["pixdim"][1:4], dtype=np.float64))
    sizes[~np.isfinite(sizes)] = 0.0
    return sizes


def _unplaced(header: Any) -> Placement:
    sizes = _sizes(header)
    if not (sizes[:2] > 0).all():
        return Placement(np.zeros((4, 4)))
    flat = header.copy()
    flat["pixdim"][1:4] = sizes
    return Placement(
        np.diag([-sizes[0], -sizes[1], sizes[2], 1.0]),
        otherwise=np.asarray(flat.get_base_affine(), dtype=np.float64),
        placed=False,
    )


def _sized_identity(affine: Affine, sizes: NDArray[np.float64]) -> Affine:
    """Return whether the sform is an identity beside other sizes in pixdim, and so was never set (as in
    ACDC's files).
    """
    unset = np.array_equal(np.abs(affine[:3, :3]), np.eye(3))
    if not unset or not (sizes[:2] > 0).all():
        return affine
    sized = affine.copy()
    sized[:3, :3] *= np.where(sizes > 0, sizes, 1.0)
    return sized


def _of_matrix(by_matrix: Affine, sizes: NDArray[np.float64], unit: str) -> Affine:
    """Return an sform without a qform beside it; its sizes must be those of pixdim, if that states any."""
    affine = _sized_identity(by_matrix, sizes)
    # This program once wrote masks of flat images so: no step, and sizes that nobody had set.
    never_set = (sizes == 1).all() and not affine[:3, 2].any()
    differ = not np.allclose(_steps(affine)[:2], sizes[:2], rtol=_SAME_SIZE)
    if (sizes[:2] > 0).all() and differ and not never_set:
        raise ImageContentError(
            f"its header gives two pixel sizes, {_by(sizes)} {unit} by pixdim and {_by(_steps(affine))}"
            f" {unit} by the sform, and no qform that settles it; save it again with the right one"
        )
    return affine


def _moves(affine: Affine, chosen: Affine) -> bool:
    """Return whether an affine of the same sizes places the voxels elsewhere."""
    steps = _steps(chosen)
    same_sizes = np.allclose(_steps(affine), steps, rtol=_SAME_SIZE)
    return same_sizes and not np.allclose(affine, chosen, atol=_SAME_SIZE * float(steps[:2].max()))


def _of_both(by_matrix: Affine, by_quaternion: Affine, *, scanner: bool) -> Affine:
    """Choose between both forms as ITK does: the sform, if it has the qform's sizes and scanner coordinates,
    or mirrors the qform.
    """
    theirs, ours = _steps(by_matrix), _steps(by_quaternion)
    told = (ours > 0) & (theirs > 0)
    if not np.allclose(theirs[told], ours[told], rtol=_SAME_SIZE):
        return by_quaternion
    volumes = [abs(float(np.linalg.det(affine[:3, :3]))) for affine in (by_matrix, by_quaternion)]
    if min(volumes) > 0 and not np.isclose(volumes[0], volumes[1], rtol=_SAME_VOLUME):
        raise ImageContentError(
            f"its header gives two voxel volumes, {volumes[0]:.4g} by the sform, which is"
            f" sheared, and {volumes[1]:.4g} by the qform; save it again with the right one"
        )
    if not by_matrix[:3, 2].any():
        by_matrix = by_matrix.copy()
        by_matrix[:3, 2] = by_quaternion[:3, 2]
    mirrors = np.allclose(np.abs(by_matrix), np.abs(by_quaternion), rtol=_SAME_SIZE, atol=1e-4)
    return by_matrix if scanner or mirrors else by_quaternion


def _refuse_slanted(affine: Affine) -> None:
    col, row = affine[:3, 0], affine[:3, 1]
    lengths = float(np.linalg.norm(col) * np.linalg.norm(row))
    if lengths > 0 and abs(float(col @ row)) > _RIGHT_ANGLE * lengths:
        angle = np.degrees(np.arccos(abs(float(col @ row)) / lengths))
        raise ImageContentError(
            f"its rows and columns meet at {angle:.0f} degrees; resample it to rectangular pixels"
        )


def _with_step(affine: Affine, sizes: NDArray[np.float64], *, coded: bool, unit: str) -> Placement:
    """Return the affine with a third column that leaves the plane, and any contradiction about it."""
    step, plane = affine[:3, 2], np.cross(affine[:3, 0], affine[:3, 1])
    area, length = float(np.linalg.norm(plane)), float(np.linalg.norm(step))
    if area == 0:
        return Placement(affine)
    leaves = np.isfinite(step).all() and abs(float(plane @ step)) > 1e-3 * area * length
    if not leaves:
        mended = affine.copy()
        mended[:3, 2] = plane / area * sizes[2]
        return Placement(mended)
    if not coded and sizes[2] > 0 and not np.isclose(length, sizes[2], rtol=_SAME_SIZE):
        return Placement(affine, _STEP.format(sizes[2], length, unit=unit))
    return Placement(affine)


def _spans_plane(affine: Affine) -> bool:
    """Return whether the first two columns are finite, have lengths, and are not parallel."""
    col, row = affine[:3, 0], affine[:3, 1]
    if not np.isfinite(affine[:3, [0, 1, 3]]).all():
        return False
    lengths = float(np.linalg.norm(col) * np.linalg.norm(row))
    return lengths > 0 and float(np.linalg.norm(np.cross(col, row))) > 1e-3 * lengths


def _steps(affine: Affine) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(affine[:3, :3], axis=0))


def _by(sizes: NDArray[np.float64]) -> str:
    return " x ".join(f"{size:.6g}" for size in sizes)


def _unit(header: Any) -> str:
    code = int(header["xyzt_units"]) & 7
    return {1: "m", 3: "um"}.get(code, "mm")
