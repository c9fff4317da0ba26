"""What an annotator left of an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Reading:
    """The latest mask that one annotator saved for one image.

    ``saved_at`` is in seconds since 1970, for people: clocks are set back, so nothing is put in order by it.
    """

    image_id: str
    annotator: str
    masks_file: Path
    saved_at: float
