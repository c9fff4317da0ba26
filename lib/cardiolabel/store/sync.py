"""Synchronisation of records with the files of the studies folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from sqlalchemy import Connection

from cardiolabel.domain import Record
from cardiolabel.records.names import is_name
from cardiolabel.store import images, versions
from cardiolabel.store.database import Database
from cardiolabel.store.label_files import LabelFiles
from cardiolabel.store.recovery import restore_published
from cardiolabel.store.versions import Origin, Version
from cardiolabel.store.watch import LabelWatch

_BATCH = 200


class FolderSync:
    """Keeps the records of one studies folder in step with its files.

    Parameters
    ----------
    database : Database
    files : LabelFiles
    records : callable
        Gives the folder's records by image id; the same mapping as before while nothing changed.
    watch : LabelWatch or None
        Says which labels changed; None where only `refresh` is to look.
    """

    def __init__(
        self,
        database: Database,
        files: LabelFiles,
        *,
        records: Callable[[], Mapping[str, Record]],
        watch: LabelWatch | None,
    ) -> None:
        self._database, self._files, self._records, self._watch = database, files, records, watch
        self._synced: Mapping[str, Record] | None = None
        self._behind = False
        self._lock = threading.Lock()

    def catch_up(self) -> None:
        """Process changes of the folder since the last call; cheap where there are none."""
        if self._behind or self._records() is not self._synced:
            with self._lock:
                if self._records() is not self._synced:
                    self._behind |= self.sync_images()
                if self._behind:
                    self._compare_labels()  # those of an image may have been there before it
                    self._behind = False
        if not self._watch:
            return
        changed = self._watch.changes()
        try:
            if changed is None:
                self._compare_labels()
            else:
                self.reconcile(changed)
        except BaseException:
            self._watch.put_back(changed)
            raise

    def refresh(self) -> None:
        """Compare every file with its record."""
        self.sync_images()
        self._compare_labels()

    def sync_images(self) -> bool:
        """Compare the images, not their labels, with their records; returns whether any differed."""
        records = self._records()
        with self._database.reading() as connection:
            differs = images.sync(connection, list(records.values()), writing=False)
        if differs:
            with self._database.writing() as connection:
                self._database.alone(connection)
                records = self._records()  # another server may have recorded what is newer than the above
                images.sync(connection, list(records.values()), writing=True)
        self._synced = records
        return differs

    def _compare_labels(self) -> None:
        with self._database.reading() as connection:
            recorded = versions.tags(connection)
        for tag in sorted({*self._files.tags(), *recorded}):
            if not is_name(tag):
                continue
            files = self._files.states(tag)
            with self._database.reading() as connection:
                stored = versions.states(connection, tag)
            differ = [
                image_id
                for image_id in files.keys() | stored.keys()
                if files.get(image_id) != stored.get(image_id)
            ]
            self._reconcile_all([(image_id, tag) for image_id in differ if is_name(image_id)])

    def reconcile(self, changed: Iterable[tuple[str, str]]) -> None:
        """Compare the files of some labels with their records."""
        differ = []
        for image_id, tag in changed:
            if is_name(image_id) and is_name(tag):
                with self._database.reading() as connection:
                    current = versions.current(connection, image_id, tag)
                recorded = (current.modified_ns, current.size) if current else None
                if self._files.state(image_id, tag) != recorded:
                    differ.append((image_id, tag))
        self._reconcile_all(differ)

    def _reconcile_all(self, differ: list[tuple[str, str]]) -> None:
        for start in range(0, len(differ), _BATCH):  # so that others get to save between thousands of them
            self._reconcile_batch(differ[start : start + _BATCH])

    def _reconcile_batch(self, differ: list[tuple[str, str]]) -> None:
        with self._database.writing() as connection:
            self._database.alone(connection)
            # All rows before the first count, or this and a save could wait for each other.
            image_ids = sorted({image_id for image_id, _ in differ})
            present = {image_id for image_id in image_ids if images.locked(connection, image_id)}
            for image_id, tag in differ:
                if image_id in present:
                    self.reconcile_locked(connection, image_id, tag)

    def reconcile_locked(self, connection: Connection, image_id: str, tag: str) -> None:
        """Compare one label's file with its record, within a transaction that holds the image's row."""
        current = versions.last_current(connection, image_id, tag)
        last, present = current or (None, False)
        state = self._files.state(image_id, tag)
        recorded = (last.modified_ns, last.size) if last else None
        if present and state == recorded:
            return
        if last and present and last.key:
            # Its process was killed, or has not come to it yet; another program may have come before it.
            expected = state is None or versions.has_state(connection, image_id, tag, state)
            if expected and self._files.publish(image_id, tag, last.key):
                return
            self._files.unstage(tag, last.key)
        if last and (state is None or state == recorded):
            versions.set_present(connection, image_id, tag, present=state is not None)
            if present != (state is not None):
                self._files.journal.note_present(last, present=not present, synced=False)
        elif state is not None and not restore_published(connection, self._files, image_id, tag, state):
            version = Version(
                image_id,
                tag,
                versions.next_number(connection, image_id, tag),
                Origin.FOLDER,
                author="",
                saved_at=state[0] / 1e9,
                modified_ns=state[0],
                size=state[1],
            )
            version = versions.add(connection, version, make_current=True)
            self._files.journal.note_version(connection, version, current=True, synced=False)
