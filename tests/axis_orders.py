"""Files with the same voxels in the same places, whose axes run in another order or direction."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

Order = tuple[tuple[int, ...], tuple[int, ...]]
"""Of each new axis the old one, and whether it runs forwards (1) or backwards (-1)."""

ORDERS: list[Order] = [
    (axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)
]


def reordered(
    array: NDArray[Any], affine: NDArray[np.float64], order: Order
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """An array ``(x, y, z)`` and its affine with other axes; every voxel stays where it is."""
    axes, signs = order
    turned, moved = array.transpose(axes), affine.copy()
    moved[:3, :3] = affine[:3, list(axes)]
    for axis, sign in enumerate(signs):
        if sign < 0:
            turned = np.flip(turned, axis)
            moved[:3, 3] += moved[:3, axis] * (turned.shape[axis] - 1)
            moved[:3, axis] *= -1
    return np.ascontiguousarray(turned), moved


def save(array: NDArray[Any], affine: NDArray[np.float64], path: Path) -> Path:
    """Write ``(x, y, z)`` as NIfTI or, by its name, as NRRD or MetaImage, with the same places."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith((".nii", ".nii.gz")):
        nib.save(nib.Nifti1Image(array, affine), path)
        return path
    image = sitk.GetImageFromArray(array.T)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(steps.tolist())
    image.SetDirection((lps[:3, :3] / steps).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    sitk.WriteImage(image, str(path))
    return path


def seg_nrrd(array: NDArray[np.uint8], segments: Sequence[tuple[str, int]], **fields: str) -> bytes:
    """A ``.seg.nrrd`` file of ``(x, y, z)`` with pixels of 0.5 mm, as 3D Slicer writes it."""
    head = ["NRRD0004", "type: unsigned char", f"dimension: {array.ndim}", "space: left-posterior-superior"]
    head.append("sizes: " + " ".join(map(str, array.shape)))
    layers = "none " if array.ndim == 4 else ""
    head.append(f"space directions: {layers}(0.5,0,0) (0,0.5,0) (0,0,1)")
    head.append(f"kinds: {'list ' if layers else ''}domain domain domain")
    head += ["encoding: raw", f"space origin: {fields.pop('origin', '(0,0,0)')}"]
    for number, (name, value) in enumerate(segments):
        layer = fields.get(f"layer_{number}", "0")
        head += [f"Segment{number}_ID:=Segment_{number + 7}", f"Segment{number}_LabelValue:={value}"]
        head += [f"Segment{number}_Layer:={layer}", f"Segment{number}_Name:={name}"]
    return ("\n".join(head) + "\n\n").encode() + array.tobytes(order="F")
