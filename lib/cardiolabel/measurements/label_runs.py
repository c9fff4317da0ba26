"""A frame's label values as runs, by which viewers send and get masks that were painted."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from cardiolabel.errors import ImageContentError

__all__ = ["label_runs", "painted"]


def label_runs(mask: NDArray[np.uint8]) -> list[int]:
    """Return the runs of a mask: value, first pixel and length of each, pixels counted along the rows.

    Parameters
    ----------
    mask : ndarray of uint8, shape (H, W)

    Examples
    --------
    >>> label_runs(np.array([[0, 1, 1], [1, 0, 2]], np.uint8))
    [1, 1, 3, 2, 5, 1]
    """
    flat = mask.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=0))
    ends = np.append(starts[1:], flat.size)
    is_labelled = flat[starts] > 0
    runs = np.stack([flat[starts], starts, ends - starts], axis=1)[is_labelled]
    return [int(number) for number in runs.ravel()]


def painted(runs: Sequence[int], shape: tuple[int, int], values: Collection[int]) -> NDArray[np.uint8]:
    """Return the mask of some runs.

    Parameters
    ----------
    runs : sequence of int
        As `label_runs` gives them.
    shape : tuple of int
        (H, W)
    values : collection of int
        Label values that there are.

    Raises
    ------
    ImageContentError
        The runs are of another image, overlap, or have other values.

    Examples
    --------
    >>> painted([1, 1, 3, 2, 5, 1], (2, 3), {1, 2}).tolist()
    [[0, 1, 1], [1, 0, 2]]
    """
    if len(runs) % 3:
        raise ImageContentError("a painted frame: expected value, first pixel and length of each run")
    table = np.asarray(runs, dtype=np.int64).reshape(-1, 3)
    value, start, length = table.T
    size = shape[0] * shape[1]
    ends = start + length
    if (length < 1).any() or (start < 0).any() or (ends > size).any() or (ends[:-1] > start[1:]).any():
        raise ImageContentError(f"a painted frame: its runs do not fit {shape[0]} rows of {shape[1]} pixels")
    if unknown := set(value.tolist()) - set(values):
        raise ImageContentError(f"a painted frame: unknown label values {sorted(unknown)[:5]}")
    mask = np.zeros(size, dtype=np.uint8)
    mask[np.repeat(start - np.cumsum(length) + length, length) + np.arange(length.sum())] = np.repeat(
        value, length
    )
    return mask.reshape(shape)
