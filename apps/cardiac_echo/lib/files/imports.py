"""Import of DICOM files, videos and pictures that lie in the studies folder."""

from __future__ import annotations

import logging
from pathlib import Path

from cardiolabel.errors import CardiolabelError
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.pipeline.import_folder import ImportOptions, import_folder, needs_import

logger = logging.getLogger(__name__)


def import_new_files(studies: Path, models: ModelFolders) -> None:
    """Convert the files of a folder that are new or changed; on failure the server goes on without them.

    Names are logged at the level DEBUG only.
    """
    if not studies.is_dir() or not needs_import(studies):
        return
    try:
        prepared = import_folder(studies, studies, ImportOptions(models))
    except (CardiolabelError, OSError) as error:
        logger.warning("files that are not NIfTI could not be imported")
        logger.debug("%s", error)
        return
    logger.info("%d images imported, %d files left out", prepared.images, len(prepared.skipped))
    for place, reason in (*prepared.skipped, *prepared.notes):
        logger.debug("%s: %s", place, reason)
