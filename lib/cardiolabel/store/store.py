"""The transactional store of one studies folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from cardiolabel.domain import Record
from cardiolabel.errors import UnknownImageError, UnknownLabelError
from cardiolabel.records.id_register import IdRegister, note_patients
from cardiolabel.records.label_names import image_names
from cardiolabel.records.names import check_name, storable
from cardiolabel.store import counts, datastore_v2, images, leases, scores, versions
from cardiolabel.store.database import fact
from cardiolabel.store.foreign_labels import ForeignLabels
from cardiolabel.store.label_files import LabelFiles
from cardiolabel.store.lease_clock import LeaseClock
from cardiolabel.store.leases import Lease, Offers
from cardiolabel.store.opening import begin, open_database
from cardiolabel.store.recovery import note_earlier_versions
from cardiolabel.store.scores import Scored
from cardiolabel.store.sync import FolderSync
from cardiolabel.store.versions import Version
from cardiolabel.store.watch import LabelWatch
from cardiolabel.store.writer import LabelWriter

LEASE_S = 3600.0
"""Default length of a lease in seconds."""

ERASURES_FACT = "erasures"
"""Number of deletions for good, by which caches notice them."""

_PATIENCE_S = 10.0
"""Seconds to wait for the only free image while another transaction holds it."""

_AGAIN_S = 0.02


class Store:
    """Images, labels with all their versions, and leases; safe between threads and processes.

    Parameters
    ----------
    folder : Path
        The studies folder.
    records : callable
        Gives the folder's records by image id; the same mapping as before while nothing changed.
    url : str, optional
        Database; by default a SQLite file within the folder.
    watch : bool
        Notice label files that something else writes or removes.

    Attributes
    ----------
    writer : LabelWriter
        Saves, rolls back and removes labels.
    sync : FolderSync
        Takes in what something else did to the files.

    Raises
    ------
    StoreError
        The database cannot be used, or belongs to another studies folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        records: Callable[[], Mapping[str, Record]],
        url: str | None = None,
        watch: bool = True,
    ) -> None:
        self._files = LabelFiles(folder)
        self._presence = begin(folder)
        try:
            self.database = open_database(folder, self._files, url)
        except BaseException:
            self._presence.close()
            raise
        self._watch = LabelWatch(folder) if watch else None
        self.sync = FolderSync(self.database, self._files, records=records, watch=self._watch)
        self.writer = LabelWriter(self.database, self._files, self.sync)
        try:
            if self._watch:
                self._watch.start()
            self._note_earlier_ids(folder)
            self.sync.sync_images()
            self._take_over(folder, records())
            self.sync.refresh()
            note_earlier_versions(self.database, self._files)
            self._clock = LeaseClock(self.database)
            self._files.clear_abandoned(is_alone=self._presence.is_alone is True)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop watching and close the database."""
        if self._watch:
            self._watch.stop()
        self.database.close()
        self._presence.close()

    def counted(self) -> tuple[int, dict[str, int]]:
        """Return the number of images, and of labels by tag."""
        with self._current() as connection:
            return counts.read(connection)

    def image_ids(self, *, is_open: bool | None = None) -> list[str]:
        """Return the images in the folder's order; ``is_open`` selects those without (or with) a final
        label.
        """
        with self._current() as connection:
            return images.ids(connection, is_open=is_open)

    def image_info(self, image_id: str) -> dict[str, Any]:
        """Return the notes on an image; empty for an unknown one."""
        with self._current() as connection:
            return images.info(connection, image_id)

    def all_image_info(self) -> dict[str, dict[str, Any]]:
        """Return the notes on every image."""
        with self._current() as connection:
            return images.all_info(connection)

    def labels(self, image_id: str) -> list[Version]:
        """Return the current versions of an image's labels."""
        with self._current() as connection:
            return versions.of_image(connection, image_id)

    def all_labels(self, tag: str | None = None) -> list[Version]:
        """Return the current version of every label, or of those of one tag."""
        with self._current() as connection:
            return versions.all_current(connection, tag)

    def label(self, image_id: str, tag: str) -> Version | None:
        """Return the current version of a label; None without one."""
        self.sync.reconcile([(image_id, tag)])
        with self._current() as connection:
            return versions.current(connection, image_id, tag)

    def label_path(self, image_id: str, tag: str) -> Path:
        """Return the path of a label's current file."""
        return self._files.published(check_name("image id", image_id), check_name("tag", tag))

    def history(self, image_id: str, tag: str) -> list[Version]:
        """Return every version of a label, the oldest first."""
        with self._current() as connection:
            return versions.history(connection, image_id, tag)

    def version(self, image_id: str, tag: str, number: int) -> tuple[Version, Path]:
        """Return one version and its file.

        Raises
        ------
        UnknownLabelError
            No such version, or its file was replaced by something else before it could be kept.
        """
        with self._current() as connection:
            version = versions.find(connection, image_id, tag, number)
        return version, self._files.of_version(version)

    def readings(self) -> list[tuple[Version, Path]]:
        """Return the last mask of each image by each named author and repeat reading, with its file."""
        with self._current() as connection:
            readings = versions.readings(connection)
        present = []
        for reading in readings:
            with suppress(UnknownLabelError):
                present.append((reading, self._files.of_version(reading)))
        return present

    # Writing

    def measurement(self, version: Version) -> dict[str, Any] | None:
        """Return the patient's study measured with a version, if any."""
        with self.database.reading() as connection:
            return versions.study(connection, version)

    def note_measured(
        self, version: Version, ef_after: list[dict[str, Any]] | None, measurement: dict[str, Any]
    ) -> None:
        """Record the patient's measurements with a version."""
        with self.database.writing() as connection:
            versions.set_values(connection, version, ef_after=ef_after)
            versions.set_study(connection, version, measurement)
            self._files.journal.note_values(version, {"ef_after": ef_after}, study=measurement)

    def update_image_info(self, image_id: str, changes: dict[str, Any]) -> None:
        """Add notes to an image.

        Raises
        ------
        UnknownImageError
            There is no such image.
        """
        self.sync.catch_up()
        with self.database.writing() as connection:
            if not images.locked(connection, image_id):
                raise UnknownImageError(f"no image {image_id!r} in this studies folder")
            images.update_info(connection, image_id, changes)

    def update_label_info(self, image_id: str, tag: str, changes: dict[str, Any]) -> None:
        """Add notes to the current version of a label.

        Raises
        ------
        UnknownLabelError
            There is no such label.
        """
        self.sync.catch_up()
        with self.database.writing() as connection:
            images.locked(connection, image_id)
            current = versions.current(connection, image_id, tag)
            if current is None:
                raise UnknownLabelError(f"{image_id}: there is no label {tag!r}")
            info = {**current.info, **changes}
            versions.set_values(connection, current, info=info)
            self._files.journal.note_values(current, {"info": info})

    def revision(self) -> tuple[object, ...]:
        """Return a token that changes whenever a label does."""
        with self._current() as connection:
            erasures = fact(connection, ERASURES_FACT)
            return repr(counts.read(connection)), versions.total(connection), erasures

    def scores_since(self, sequence: int) -> list[Scored]:
        """Return the scores stored after the given `Scored.sequence`, in order; 0 for all."""
        with self.database.reading() as connection:
            return scores.since(connection, sequence)

    def put_score(self, patient: str, state: str, score: dict[str, Any]) -> None:
        """Store the scores of a patient, whose images, labels and model are those of ``state``."""
        with self.database.writing() as connection:
            self.database.alone(connection)  # so that who reads on from the last one misses none
            scores.put(connection, Scored(patient, state, time.time(), score))

    def offer(
        self, annotator: str, choose: Callable[[Offers], str | None], *, seconds: float = LEASE_S
    ) -> Lease | None:
        """Lease the image that ``choose`` selects; where it selects none, as `hand_out`.

        Nothing is locked while it selects, which may take long; it is asked again if another annotator was
        quicker.
        """
        annotator = storable(annotator)
        self.sync.catch_up()
        while True:
            now = self._clock.now()
            with self.database.reading() as connection:
                offers = leases.offers(connection, annotator, now=now)
            chosen = choose(offers)
            with self.database.writing() as connection:
                now = time.time()
                if chosen is None:
                    return leases.renew_oldest(connection, annotator, now=now, seconds=seconds)
                lease = leases.take_free(connection, chosen, annotator, now=now, seconds=seconds)
            if lease:
                return lease

    def hand_out(self, annotator: str, *, seed: object = None, seconds: float = LEASE_S) -> Lease | None:
        """Lease the next image to an annotator, in the folder's order or, with a seed, shuffled.

        See `cardiolabel.store.leases.hand_out`.
        """
        annotator = storable(annotator)
        self.sync.catch_up()
        pivot = None if seed is None else images.pivot(seed)
        patience = time.monotonic() + _PATIENCE_S
        while True:
            now = self._clock.now()
            with self.database.writing() as connection:
                lease = leases.hand_out(connection, annotator, now=now, seconds=seconds, pivot=pivot)
                if lease or not leases.any_left(connection, annotator) or time.monotonic() > patience:
                    return lease
            time.sleep(_AGAIN_S)

    def take(self, image_id: str, annotator: str, *, seconds: float = LEASE_S) -> Lease:
        """Lease one image, or renew its lease; errors as `cardiolabel.store.leases.take`."""
        self.sync.catch_up()
        now = self._clock.now()
        with self.database.writing() as connection:
            return leases.take(connection, image_id, storable(annotator), now=now, seconds=seconds)

    def release(self, image_id: str) -> None:
        """End a lease, if there is one."""
        with self.database.writing() as connection:
            leases.release(connection, image_id)

    def leases(self) -> list[Lease]:
        """Return the running leases, the oldest first."""
        now = self._clock.now()
        with self._current() as connection:
            return leases.running(connection, now=now)

    def _current(self) -> AbstractContextManager[Connection]:
        self.sync.catch_up()
        return self.database.reading()

    def _note_earlier_ids(self, folder: Path) -> None:
        """Note the owners of recorded ids before the folder is scanned."""
        with self.database.reading() as connection:
            note_patients(folder, images.patients(connection))

    def _take_over(self, folder: Path, records: Mapping[str, Record]) -> None:
        """Import the labels of other programs, and the notes of MONAI Label's own datastore."""
        unowned_ids = IdRegister.read(folder).unowned_ids(records)
        names = image_names(folder, records.values(), unowned_ids=unowned_ids)
        ForeignLabels(folder, self.database, self._files).take_over(records, names)
        datastore_v2.import_once(folder, self.database, self._files, names)
