"""Masks of a frame as label values: runs as the server has them, and shapes between two masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk


def runs_of(mask: np.ndarray) -> list[int]:
    """Return value, first pixel and length of each run along the rows of a mask of shape (H, W)."""
    flat = mask.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=0))
    ends = np.append(starts[1:], flat.size)
    runs = np.stack([flat[starts].astype(np.int64), starts, ends - starts], axis=1)
    return [int(number) for number in runs[runs[:, 0] > 0].ravel()]


def mask_of(runs: Sequence[int], shape: tuple[int, int]) -> np.ndarray:
    """Return the mask of shape (H, W) with such runs."""
    mask = np.zeros(shape[0] * shape[1], dtype=np.uint8)
    for value, start, length in np.asarray(runs, dtype=np.int64).reshape(-1, 3):
        mask[start : start + length] = value
    return mask.reshape(shape)


def between(first: np.ndarray, last: np.ndarray, share: float) -> np.ndarray:
    """Return the mask at a share of the way from one mask to another.

    The signed distances to each structure's border are interpolated, and a pixel belongs to the structure
    that it lies deepest in (Raya and Udupa, IEEE Trans Med Imaging 1990, 9:32-42).

    Parameters
    ----------
    first, last : ndarray of uint8, shape (H, W)
    share : float
        0 gives the structures of ``first``, 1 those of ``last``. A structure that only one of them has is
        left out.
    """
    result = np.zeros_like(first)
    depth = np.zeros(first.shape)
    for value in sorted(set(np.unique(first)) & set(np.unique(last)) - {0}):
        inside = (1 - share) * _depth(first == value) + share * _depth(last == value)
        deeper = inside > depth
        result[deeper], depth[deeper] = value, inside[deeper]
    return result


def _depth(region: np.ndarray) -> np.ndarray:
    """Return the distance in pixels to a region's border, positive inside."""
    image = sitk.GetImageFromArray(region.astype(np.uint8))
    distance = sitk.SignedMaurerDistanceMap(
        image, insideIsPositive=True, squaredDistance=False, useImageSpacing=False
    )
    inside = sitk.GetArrayFromImage(distance)
    return np.where(region, inside + 0.5, inside - 0.5)
