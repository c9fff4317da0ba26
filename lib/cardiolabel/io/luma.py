"""Grey values of colour pictures, and the recognition of those whose colours mean something.

Scanners store grey tissue as colour, some of it tinted by one colour map. There every grey level has one
colour. Colour Doppler shows grey and coloured pixels of one brightness side by side.

References
----------
ITU-R BT.601-7, section 2.5.1 (luma and colour differences); ITU-T T.871 (the same, full range, in JPEG)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LUMA", "chroma", "grey", "is_colour_picture", "luma"]

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue."""

_FROM_CB, _FROM_CR = 1.772, 1.402
"""Blue and red minus luma for each step of Cb and Cr."""

_LEVELS = 16
_OFF_MAP = 32.0
"""Difference in colour, in levels of 255, by which a pixel leaves the map of its grey level."""
_COLOUR_SHARE = 0.02
"""Share of pixels off the map from which a picture is coloured; text and a cursor stay below."""


def grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luma of colours, shape (..., 3) to (...); equal channels keep their value.

    References
    ----------
    ITU-R BT.601-7, section 2.5.1.

    Examples
    --------
    >>> grey(np.array([[10, 10, 10], [255, 0, 0]], np.uint8))
    array([10, 76], dtype=uint8)
    """
    return np.asarray(np.rint(rgb @ np.array(LUMA)), dtype=np.uint8)


def luma(frame: NDArray[np.generic], *, is_ybr: bool) -> NDArray[np.generic]:
    """Return the grey picture of a frame, shape (H, W, 3) to (H, W), of the same type.

    Parameters
    ----------
    frame : ndarray, shape (H, W, 3)
        RGB, or luma with Cb and Cr.
    is_ybr : bool
    """
    if is_ybr:
        return frame[..., 0]
    bright: NDArray[np.generic] = np.rint(frame @ np.array(LUMA)).astype(frame.dtype)
    return bright


def chroma(frame: NDArray[np.generic], *, is_ybr: bool) -> NDArray[np.float32]:
    """Return blue and red minus luma, shape (H, W, 2); parameters as `luma`."""
    values = frame.astype(np.float32)
    if is_ybr:
        return (values[..., 1:] - 128.0) * np.array([_FROM_CB, _FROM_CR], np.float32)
    bright = values @ np.array(LUMA, np.float32)
    return np.stack([values[..., 2] - bright, values[..., 0] - bright], axis=-1)


def is_colour_picture(bright: NDArray[np.generic], colours: NDArray[np.float32]) -> bool:
    """Return whether the colours of a picture mean something, as in colour Doppler.

    Parameters
    ----------
    bright : ndarray, shape (H, W)
        Luma, 0 to 255.
    colours : ndarray, shape (H, W, 2)
        As `chroma` gives them.

    Examples
    --------
    A picture tinted by one map, and one with a coloured box:

    >>> bright = np.tile(np.arange(256.0), (64, 1))
    >>> sepia = np.stack([-0.3 * bright, 0.2 * bright], axis=-1)
    >>> box = np.zeros_like(sepia)
    >>> box[:16, 64:192] = 80
    >>> is_colour_picture(bright, sepia), is_colour_picture(bright, box)
    (False, True)
    """
    levels = np.clip(bright.astype(np.float32) * (_LEVELS / 256), 0, _LEVELS - 1).astype(int)
    off_map = 0
    for level in range(_LEVELS):
        of_level = colours[levels == level]
        if len(of_level):
            off_map += int((np.abs(of_level - np.median(of_level, axis=0)).max(axis=1) > _OFF_MAP).sum())
    return off_map > _COLOUR_SHARE * bright.size
