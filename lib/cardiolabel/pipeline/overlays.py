"""Pictures of a folder's images with their contours."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from cardiolabel.errors import InputError
from cardiolabel.io.files import atomic
from cardiolabel.io.images import read_image
from cardiolabel.measurements.records import MaskedImage, Study
from cardiolabel.reporting.overlay import OVERLAYS, overlay_png

logger = logging.getLogger(__name__)


def overlay_file(out: Path, image_id: str) -> Path:
    """Return the path of an image's picture in a folder of results."""
    return out / OVERLAYS / f"{image_id}.png"


class Overlays:
    """Writes ``overlays/<image_id>.png`` of measured patients.

    Parameters
    ----------
    out : Path
        Created where missing.
    draw : bool
        False draws nothing, and only removes what no longer belongs there.
    """

    def __init__(self, out: Path, *, draw: bool) -> None:
        self._out, self._draw = out, draw

    def write(self, study: Study, images: Iterable[tuple[MaskedImage, Path]]) -> None:
        """Draw a patient's images; where masks are missing, an old picture is removed.

        Raises
        ------
        OSError
            A picture cannot be written.
        """
        for image, source in images:
            path = overlay_file(self._out, image.image_id)
            if image.masks.size and not self._draw:
                continue
            picture = _picture(study, image, source) if image.masks.size else None
            if picture is None:
                path.unlink(missing_ok=True)
            else:
                with atomic(path) as draft:
                    draft.write_bytes(picture)


def _picture(study: Study, image: MaskedImage, source: Path) -> bytes | None:
    try:
        clip = read_image(source).clip
        if clip.pixels.shape == image.masks.shape:
            return overlay_png(clip, image, study)
        problem = "has another shape now"
    except InputError as error:
        problem = str(error)
    logger.warning("an image changed after its mask was made and has no overlay")
    logger.debug("%s: %s", image.image_id, problem)
    return None
