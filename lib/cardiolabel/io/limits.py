"""Limits on the size of an image in memory, whatever a file claims."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cardiolabel.errors import ImageContentError, TooLargeError

MAX_IMAGE_BYTES = 2 * 1024**3
"""Default limit of decompressed pixels."""

_limit = MAX_IMAGE_BYTES


def set_image_limit(limit_bytes: int) -> None:
    """Set the limit for this process, at a program's start."""
    global _limit
    _limit = limit_bytes


def pixel_bytes(name: str, shape: Sequence[int], *, bytes_each: int) -> int:
    """Return the bytes of an image of this shape, and refuse it beyond the limit.

    Parameters
    ----------
    name : str
        The file, for the message.
    shape : sequence of int
        As the file's header claims it.
    bytes_each : int
        Bytes per pixel once decoded.

    Raises
    ------
    TooLargeError
        More than the limit.
    ImageContentError
        No shape at all.

    Examples
    --------
    >>> pixel_bytes("a.nii", (512, 512, 20), bytes_each=1)
    5242880
    """
    if any(length < 0 for length in shape):
        raise ImageContentError(f"{name}: expected lengths of its axes, its header says {tuple(shape)}")
    needed = math.prod(shape) * bytes_each
    if needed > _limit:
        raise TooLargeError(
            f"{name}: {tuple(shape)} pixels are {needed / 1024**2:.0f} MB; "
            f"expected at most {_limit / 1024**2:.0f} MB"
        )
    return needed
