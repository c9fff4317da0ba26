"""Labels of other programs, copied to where this product keeps its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cardiolabel.domain import Record
from cardiolabel.errors import InputError
from cardiolabel.io import nifti
from cardiolabel.io.images import read_image
from cardiolabel.io.mask_files import read_mask_on
from cardiolabel.records.left_out_labels import ForeignLabel, foreign_labels
from cardiolabel.records.names import is_name
from cardiolabel.store import versions
from cardiolabel.store.database import Database
from cardiolabel.store.label_files import LabelFiles

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ForeignLabels:
    """Copies other programs' labels of one studies folder under the ids of their images.

    A file under its image's own name, or of another format, is written on its image's grid as
    ``labels/<tag>/<image_id>.nii.gz``. The original stays. An image that ever had a label of that tag here
    keeps its own.

    Parameters
    ----------
    folder : Path
        The studies folder.
    database : Database
        Its records.
    files : LabelFiles
        Its label files.
    """

    folder: Path
    database: Database
    files: LabelFiles

    def take_over(self, records: Mapping[str, Record], names: Mapping[str, str]) -> int:
        """Copy the readable labels; returns the number of unreadable ones.

        Parameters
        ----------
        records : mapping of str to Record
            Images by id.
        names : mapping of str to str
            Image ids by the names that labels may have.

        Raises
        ------
        OSError
            The disk is full or the folder not writable.
        """
        taken = left_out = 0
        for label in foreign_labels(self.folder, records, names):
            image_id = label.record.image_id
            if not (is_name(image_id) and is_name(label.tag)) or self._has_history(image_id, label.tag):
                continue
            try:
                self._write(label)
                taken += 1
            except InputError as error:
                left_out += 1
                logger.debug("a label is left out: %s", error)
        if taken or left_out:
            logger.info("%d labels of other programs were taken over", taken)
        if left_out:
            logger.warning("%d labels of other programs cannot be read and are left out", left_out)
        return left_out

    def _has_history(self, image_id: str, tag: str) -> bool:
        with self.database.reading() as connection:
            return versions.last_current(connection, image_id, tag) is not None

    def _write(self, label: ForeignLabel) -> None:
        target = self.files.published(label.record.image_id, label.tag)
        grid = read_image(label.record.path).grid
        masks = read_mask_on(label.path, grid, label.record.labels, stack=label.record.is_stack)
        nifti.write_mask_like(masks, target, grid=grid)
