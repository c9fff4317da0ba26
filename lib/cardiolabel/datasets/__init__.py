"""Public data sets, one layout per module: their images and reference masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from cardiolabel.datasets import acdc, camus, camus_mhd, echonet, folder, sunnybrook
from cardiolabel.datasets.listing import Listing

__all__ = ["READERS"]

READERS: Final[dict[str, Callable[[Path], Listing]]] = {
    module.NAME: module.listing for module in (camus, camus_mhd, folder, acdc, sunnybrook, echonet)
}
"""Function that lists each data set, by its name."""
