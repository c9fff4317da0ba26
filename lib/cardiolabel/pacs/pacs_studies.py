"""Which study of a PACS the images of a studies folder are of."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from cardiolabel.dicom_results.originals import Original, imported_originals
from cardiolabel.domain import Record
from cardiolabel.pacs.mirror import Mirror, mirrored
from cardiolabel.pipeline.import_folder import imported_files
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.records.studies_folder import StudiesFolder
from cardiolabel.system.file_cache import FileState, file_state

__all__ = ["PacsStudies"]


class PacsStudies:
    """The studies of a PACS in a folder that follows it; there are none in other folders.

    Parameters
    ----------
    studies : StudiesFolder
    """

    def __init__(self, studies: StudiesFolder) -> None:
        self._studies = studies
        self._read: tuple[FileState, dict[str, str]] | None = None

    @property
    def mirror(self) -> Mirror | None:
        """The PACS that the folder follows."""
        return mirrored(self._studies.folder)

    def records(self) -> dict[str, list[Record]]:
        """Return the images by the study's identifier."""
        of_image, records = self._study_of_image(), defaultdict(list)
        for record in self._studies.records():
            if study := of_image.get(record.image_id):
                records[study].append(record)
        return dict(records)

    def of_patients(self) -> dict[str, str]:
        """Return the study's identifier by patient."""
        return {records[0].patient: study for study, records in self.records().items()}

    def original(self, image_id: str) -> Original | None:
        """Return the DICOM image of an image; None where its file is not here. Errors as for several."""
        return imported_originals(self._studies.folder, [image_id]).get(image_id)

    def _study_of_image(self) -> dict[str, str]:
        note = StudiesLayout(self._studies.folder).imported
        if not note.is_file() or (mirror := self.mirror) is None:
            return {}
        state = file_state(note)
        if self._read is None or self._read[0] != state:
            files = imported_files(self._studies.folder)
            self._read = (
                state,
                {
                    image_id: study
                    for image_id, slices in files.items()
                    if slices and (study := _study(slices[0][0], mirror))
                },
            )
        return self._read[1]


def _study(path: Path, mirror: Mirror) -> str:
    """Return the study that a mirrored file is of; nothing for other files."""
    return path.relative_to(mirror.files).parts[0] if path.is_relative_to(mirror.files) else ""
