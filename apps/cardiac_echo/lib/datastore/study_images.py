"""Changes of a studies folder's images that the server allows: adding, describing, removing, deleting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cardiolabel.domain import Record
from cardiolabel.inference.image_cost import check_upload
from cardiolabel.pipeline.recognised_views import recognised_views
from cardiolabel.records.file_names import clean_id, image_stem
from cardiolabel.records.names import check_name
from cardiolabel.store.erasure import Erased, Erasure
from cardiolabel.store.image_files import ImageFiles, Replaced
from lib.datastore.notes import IMAGE_FIELDS, checked_notes
from lib.files.conversion import converted
from lib.security.roles import Role, require
from lib.server.engine import Engine
from lib.server.errors import refused

_IMPORTED_FIELDS = ("view", "phase", "dataset", "frame_rate_hz", "sex", "age_years", "person")


class StudyImages:
    """Images of a studies folder; what a killed server left undone is ended first.

    Parameters
    ----------
    engine : Engine
        The studies and their store.
    read_only : bool
        Refuse every change.
    """

    def __init__(self, engine: Engine, *, read_only: bool) -> None:
        self._engine, self._store, self._studies = engine, engine.store, engine.studies
        self._files = ImageFiles(engine.studies, engine.store)
        self._erasure = Erasure(engine.studies, engine.store, self._files)
        self._read_only = read_only
        if not read_only:
            self._files.clear_abandoned()
            self._erasure.finish()

    def allow_change(self, role: Role) -> None:
        """Refuse senders without this role, and all changes of a read-only folder."""
        require(role)
        if self._read_only:
            raise refused(403, "read_only", "this server only reads its studies folder")

    def add(self, image_id: str, source: Path, notes: Mapping[str, Any]) -> Record:
        """Store a new image.

        Parameters
        ----------
        image_id : str
            Name of the image in the studies folder; where it is empty, the file keeps its own name, and its
            id follows from that as for any other image of the folder.
        source : Path
        notes : mapping
            Notes on the image.

        Raises
        ------
        BadNameError, ImageReadError, ImageContentError, ConflictError, BusyError
            As `ImageFiles.add`; nothing is stored.
        """
        self.allow_change(Role.ANNOTATOR)
        stem = check_name("image id", image_id) if image_id else image_stem(source)
        checked = checked_notes(dict(notes), IMAGE_FIELDS)
        image, facts = converted(source)
        check_upload(image)
        record = self._files.add(
            image,
            stem,
            original=source if image != source else None,
            view=facts.view,
            frame_rate_hz=facts.frame_rate_hz,
        )
        self._store.update_image_info(record.image_id, checked)
        self.recognise_views([record])
        return record

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep others from changing images within the block; errors as `ImageFiles.locked`."""
        with self._files.locked():
            yield

    def recognise_views(self, records: Iterable[Record]) -> None:
        """Write recognised views of images of unknown view into the manifest, and a note on each image.

        Raises
        ------
        ManifestError, BusyError
            As `ImageFiles.describe`.
        """
        views, notes = recognised_views(records, self._engine.models.folders.shipped)
        self._files.describe({image_id: {"view": view} for image_id, view in views.items()})
        for image_id, note in notes:
            self._store.update_image_info(image_id, {"view_note": note})

    def add_imported(
        self, records: Sequence[Record], *, patient: str, training_consent: bool, mm_per_pixel: float | None
    ) -> list[Record]:
        """Add the images of another studies folder, with their rows of its manifest.

        Parameters
        ----------
        records : sequence of Record
        patient : str
            Name of the patient that all are of; the records' own where it is empty.
        training_consent : bool
            Whether models may learn from them.
        mm_per_pixel : float or None
            Size of the pixels of images without one.

        Raises
        ------
        ConflictError, BusyError, ImageReadError, ImageContentError, ManifestError
            As `add` and `ImageFiles.describe`; images before the failing one are added.
        """
        self.allow_change(Role.ANNOTATOR)
        changes: dict[str, dict[str, Any]] = {}
        added = []
        for record in records:
            check_upload(record.path)
            stem = f"{clean_id(patient)}_{record.image_id}" if patient else record.image_id
            image_id = self._files.add(record.path, stem).image_id
            changes[image_id] = {
                **{name: getattr(record, name) for name in _IMPORTED_FIELDS},
                "patient": patient or record.patient,
                "training_consent": training_consent,
                "mm_per_pixel": mm_per_pixel or record.mm_per_pixel,
            }
            added.append(image_id)
        self._files.describe(changes)
        return [self._studies.record(image_id) for image_id in added]

    def describe(self, image_id: str, changes: Mapping[str, Any]) -> Record:
        """Write what a person says of an image into the manifest; errors as `ImageFiles.describe`."""
        self.allow_change(Role.ANNOTATOR)
        record = self._studies.record(image_id)
        self._files.describe({record.image_id: changes})
        return self._studies.record(image_id)

    def note_consent(self, patient: str, *, training_consent: bool) -> list[str]:
        """Write a patient's consent to training use, or its end, into the rows of all their images.

        Returns
        -------
        list of str
            The images.

        Raises
        ------
        UnknownPatientError, ManifestError, BusyError
            Nothing is written.
        """
        self.allow_change(Role.ANNOTATOR)
        images = [record.image_id for record in self._studies.of_patient(patient)]
        self._files.describe({image_id: {"training_consent": training_consent} for image_id in images})
        return images

    def replace(self, image_id: str, file: Path, *, checksum: str, author: str) -> Replaced:
        """Replace an image's pixels, and archive the old file; errors as `ImageFiles.replace`."""
        self.allow_change(Role.ADMIN)
        file, _ = converted(file)
        check_upload(file)
        replaced = self._files.replace(image_id, file, checksum=checksum, author=author)
        self._engine.viewer_images.remove(image_id)
        return replaced

    def remove(self, image_id: str, *, author: str) -> None:
        """Remove an image and its labels; the labels' versions and the image's checksum are kept."""
        self.allow_change(Role.ADMIN)
        self._files.remove(image_id, author=author)
        self._engine.viewer_images.remove(image_id)

    def erase(self, patient: str) -> Erased:
        """Delete a patient for good, from the disk and from this server's memory.

        Raises
        ------
        UnknownPatientError, BusyError, StoreError, OSError
            As `Erasure.erase`.
        """
        self.allow_change(Role.ADMIN)
        records = self._studies.of_patient(patient)
        for record in records:
            self._engine.viewer_images.remove(record.image_id)
        erased = self._erasure.erase(records)
        self._engine.forget([patient])
        return erased
