"""The latest mask of an image by one annotator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Reading:
    """The latest mask that one annotator saved for one image.

    ``sequence`` is the order in which the image's versions were stored, where a store did so; ``saved_at``,
    in seconds since 1970, only orders readings without one, as clocks are set back.
    """

    image_id: str
    annotator: str
    masks_file: Path
    saved_at: float
    sequence: int = 0
