"""Masks on the pictures that viewers of a PACS show, of which an image may be a part."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cardiolabel.dicom_results.originals import Original
from cardiolabel.errors import ImageContentError
from cardiolabel.measurements.label_runs import label_runs, painted
from cardiolabel.pacs.pacs_studies import PacsStudies
from cardiolabel.studies.drawings import OpenedImage
from cardiolabel.studies.studies import Studies
from cardiolabel.system.file_cache import BoundedCache

_IMAGES = 1000
"""Number of images whose place on the picture is remembered."""


class Pictures:
    """Translates between images and the pictures that they are a part of.

    Parameters
    ----------
    studies : Studies
    pacs : PacsStudies
    """

    def __init__(self, studies: Studies, pacs: PacsStudies) -> None:
        self._studies, self._pacs = studies, pacs
        self._originals: BoundedCache[Original | None] = BoundedCache(_IMAGES, size_of=lambda _: 1)

    def original(self, image_id: str) -> Original | None:
        """Return the DICOM image of an image; None where there is none. Errors as `imported_originals`."""
        state = self._studies.record(image_id).path.stat().st_mtime_ns
        return self._originals.get((image_id, state), lambda: self._pacs.original(image_id))

    def opened_json(self, opened: OpenedImage, *, on_image: bool = False) -> str:
        """Return an opened image's masks as JSON, on its pictures or on the image itself."""
        record, masks = opened.record, opened.image.masks
        original = None if on_image else self.original(record.image_id)
        _, rows, cols = opened.shape
        fields = {
            "image": record.image_id,
            "patient": record.patient,
            "rows": original.rows if original else rows,
            "cols": original.cols if original else cols,
            "frames": [label_runs(original.to_picture(mask) if original else mask) for mask in masks],
            "structures": record.labels.as_dict(),
            "source": opened.source,
            "reason": opened.image.problem,
            "version": opened.version,
        }
        return json.dumps(fields, separators=(",", ":"))

    def masks(
        self, image_id: str, frames: Mapping[int, Sequence[int]], *, on_image: bool = False
    ) -> dict[int, NDArray[np.uint8]]:
        """Return frames that were painted, on its pictures or on the image itself, as masks of the image.

        Raises
        ------
        UnknownImageError, ImageReadError
            No image of that id, or it cannot be read.
        ImageContentError
            A mask does not fit the image, or has other values than its structures.
        """
        if not frames:
            return {}
        record = self._studies.record(image_id)
        count, rows, cols = self._studies.image(record).grid.frames_shape
        original, values = None if on_image else self.original(image_id), record.labels.all_values - {0}
        if len(frames) > count:
            raise ImageContentError(f"{image_id} has {count} frames, fewer than were painted")
        if original is None:
            return {frame: painted(runs, (rows, cols), values) for frame, runs in frames.items()}
        picture = (original.rows, original.cols)
        return {
            frame: original.from_picture(painted(runs, picture, values), (rows, cols))
            for frame, runs in frames.items()
        }
