"""What an annotator left of an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Reading:
    """The latest mask that one annotator saved for one image; ``saved_at`` is in s since 1970."""

    image_id: str
    annotator: str
    masks_file: Path
    saved_at: float
