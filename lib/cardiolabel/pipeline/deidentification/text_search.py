"""Search for text that is left in pixels, by optical character recognition; needs ``cardiolabel[ocr]``."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["is_available", "words_in"]

_LEAST_SCORE = 0.6
_LEAST_LETTERS = 3


def is_available() -> bool:
    """Return whether the recognition is installed."""
    return importlib.util.find_spec("rapidocr") is not None


def words_in(frame: NDArray[np.generic]) -> int:
    """Return how many words a frame, (H, W) or (H, W, 3), seems to hold; the words are not kept."""
    values = frame.astype(np.float64)
    brightest = max(float(values.max()), 1.0)
    picture = np.clip(values if frame.dtype == np.uint8 else values * (255 / brightest), 0, 255).astype(
        np.uint8
    )
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=-1)
    result = _engine()(picture)
    texts, scores = result.txts or (), result.scores or ()
    return sum(
        score >= _LEAST_SCORE and sum(map(str.isalnum, text)) >= _LEAST_LETTERS
        for text, score in zip(texts, scores, strict=True)
    )


@cache
def _engine() -> Any:
    from rapidocr import RapidOCR

    return RapidOCR(params={"Global.log_level": "critical"})
