"""Import of new files, and of new images of a PACS, into the studies folder; recognition of views."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from cardiolabel.domain import View
from cardiolabel.errors import CardiolabelError, PacsError
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.pacs.mirror import mirrored
from cardiolabel.pipeline.import_folder import ImportOptions, files_state, import_folder, needs_import
from cardiolabel.records.studies_folder import StudiesFolder
from lib.datastore.study_images import StudyImages

logger = logging.getLogger(__name__)

_LOOKED_EVERY_S = 10.0
_ASKED_EVERY_S = 60.0
"""Seconds between looks at the folder, and between searches of the PACS that it follows."""


class Imports:
    """Takes in new files of a studies folder; names are logged at the level DEBUG only.

    Parameters
    ----------
    studies : StudiesFolder
    models : ModelFolders
        Models that find ED and ES, and recognise views.
    images : StudyImages
        Keeps the views.
    """

    def __init__(self, studies: StudiesFolder, models: ModelFolders, images: StudyImages) -> None:
        self._studies, self._models, self._images = studies, models, images
        self._turn = threading.Lock()
        self._fetched_at = time.monotonic()
        self._looked_at: set[tuple[str, Path]] = set()

    def take(self) -> None:
        """Convert new or changed files and recognise unknown views; on failure the server goes on."""
        with self._turn:
            self._fetch()
            try:
                self._convert(self._studies.folder)
                self._recognise()
            except (CardiolabelError, OSError) as error:
                logger.warning("new files of the studies folder could not be taken in")
                logger.debug("%s", error)

    def watch(self) -> None:
        """Take in files that come while the server runs, each once its copying has ended."""
        threading.Thread(target=self._watch, name="imports", daemon=True).start()

    def _fetch(self) -> None:
        """Fetch new images of the PACS that the folder follows, if any; they are imported as others are."""
        mirror = mirrored(self._studies.folder)
        if mirror is None:
            return
        self._fetched_at = time.monotonic()
        try:
            mirror.fetch()
        except (PacsError, OSError) as error:
            logger.warning("the PACS could not be asked for new images")
            logger.debug("%s", error)

    def _convert(self, folder: Path) -> None:
        if not folder.is_dir() or not needs_import(folder):
            return
        with self._images.changing():
            prepared = import_folder(folder, folder, ImportOptions(self._models))
        logger.info("%d images imported, %d files left out", prepared.images, len(prepared.skipped))
        for place, reason in (*prepared.skipped, *prepared.notes):
            logger.debug("%s: %s", place, reason)

    def _recognise(self) -> None:
        unknown = [
            record
            for record in self._studies.records()
            if record.view is View.UNKNOWN and (record.image_id, record.path) not in self._looked_at
        ]
        self._images.recognise_views(unknown)
        self._looked_at |= {(record.image_id, record.path) for record in unknown}

    def _watch(self) -> None:
        imported_state = previous_state = self._state()
        pause = threading.Event()
        while True:
            pause.wait(_LOOKED_EVERY_S)
            if time.monotonic() - self._fetched_at > _ASKED_EVERY_S:
                self._fetch()
            state = self._state()
            is_still_copied = state != previous_state
            if not is_still_copied and state != imported_state:
                self.take()
                imported_state = state
            previous_state = state

    def _state(self) -> tuple[str, int]:
        """Return a state that changes with the files and with the number of images."""
        try:
            return files_state(self._studies.folder), len(self._studies.by_id())
        except (CardiolabelError, OSError):
            return "", 0
