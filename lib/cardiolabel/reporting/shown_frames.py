"""Frames of an image as grey pictures."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cardiolabel.domain import Clip

__all__ = ["frame_png"]

_LEVELS_PCT = (0.5, 99.5)
_SAMPLES = 200_000
_COMPRESSION = 1
"""The fastest: speckle hardly gets smaller with more."""


def frame_png(clip: Clip, frame: int) -> bytes:
    """Return a frame as an 8-bit grey PNG file.

    Pixels of 8 bits are shown as they are, others from the 0.5th to the 99.5th percentile of the whole image,
    so that all its frames have the same levels.

    Parameters
    ----------
    clip : Clip
    frame : int
        From 0.
    """
    pixels = clip.pixels[frame]
    grey = pixels if pixels.dtype == np.uint8 else _scaled(pixels, *_levels(clip.pixels))
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grey)).save(buffer, "PNG", compress_level=_COMPRESSION)
    return buffer.getvalue()


def _levels(pixels: NDArray[np.generic]) -> tuple[float, float]:
    step = max(1, pixels.size // _SAMPLES)
    low, high = np.percentile(pixels.reshape(-1)[::step].astype(np.float64), _LEVELS_PCT)
    return float(low), float(high)


def _scaled(pixels: NDArray[np.generic], low: float, high: float) -> NDArray[np.uint8]:
    width = high - low if high > low else 1.0
    return np.clip((pixels.astype(np.float64) - low) / width * 255, 0, 255).astype(np.uint8)
