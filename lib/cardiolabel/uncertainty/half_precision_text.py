"""Arrays stored as text at half precision."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray


def packed(values: NDArray[np.floating[Any]]) -> str:
    """Encode an array as text that `unpacked` reads."""
    return base64.b64encode(values.astype(np.float16).tobytes()).decode("ascii")


def unpacked(text: str) -> NDArray[np.float32]:
    """Decode a flat array.

    Raises
    ------
    ValueError, TypeError
        Not what `packed` gives.
    """
    return np.frombuffer(base64.b64decode(text), dtype=np.float16).astype(np.float32)
