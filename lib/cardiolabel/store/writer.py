"""Saving, rolling back and removing labels, so that nothing acknowledged is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from cardiolabel.errors import (
    ConflictError,
    StoreError,
    UnknownImageError,
    UnknownLabelError,
)
from cardiolabel.records.layout import FINAL
from cardiolabel.records.names import check_name, storable
from cardiolabel.store import images, leases, versions
from cardiolabel.store.database import Database
from cardiolabel.store.failures import file_failure
from cardiolabel.store.label_files import Draft, LabelFiles
from cardiolabel.store.sync import FolderSync
from cardiolabel.store.versions import Origin, Version

_MOST = 2**31 - 1  # the greatest number of a version that a database takes


@dataclass(frozen=True)
class Save:
    """Data of a save.

    ``base`` is the version that the author had opened (0: none). Where the client does not state it, the
    version that the author was last handed counts. ``reading`` names a repeat reading, which is kept as a
    version, conflicts with nothing and is never the current one.
    """

    author: str = ""
    base: int | None = None
    model: dict[str, Any] | None = None
    ef_before: list[dict[str, Any]] | None = None
    info: dict[str, Any] = field(default_factory=dict)
    reading: str = ""


class LabelWriter:
    """Writes the labels of one studies folder; safe between threads and processes."""

    def __init__(self, database: Database, files: LabelFiles, sync: FolderSync) -> None:
        self._database, self._files, self._sync = database, files, sync

    def save(self, image_id: str, tag: str, write: Callable[[Path], object], save: Save) -> Version:
        """Store a new version of a label; once this returns, it survives a kill and a power cut.

        Parameters
        ----------
        write : callable
            Writes the checked mask to the path that it is given, and waits until it is on the disk.

        Raises
        ------
        UnknownImageError, BadNameError
            Nothing is stored.
        ConflictError
            The label changed since its author opened it; the mask is kept as a version beside it.
        DiskFullError, StoreError
            Nothing is stored.
        """
        if save.reading:
            save = replace(save, info={**save.info, "reading": storable(save.reading)})
        return self._put(image_id, tag, write, save, Origin.REPEAT if save.reading else Origin.SAVED)

    def roll_back(self, image_id: str, tag: str, number: int, save: Save) -> Version:
        """Make an earlier version the current one again, as a new version; errors as `save`.

        The version that the author was handed cannot conflict, as nothing was drawn on it; ``save.base`` can.

        Raises
        ------
        UnknownLabelError
            There is no such version.
        """
        check_name("image id", image_id)
        check_name("tag", tag)
        self._sync.catch_up()
        with self._database.reading() as connection:
            earlier = versions.find(connection, image_id, tag, number)
        self._files.of_version(earlier)
        info = {**save.info, "rolled_back_to": number}
        return self._put(
            image_id,
            tag,
            lambda target: self._files.copy_version(earlier, target),
            replace(save, info=info),
            Origin.ROLLBACK,
        )

    def remove_label(self, image_id: str, tag: str) -> None:
        """Remove a label; its versions are kept.

        Raises
        ------
        UnknownLabelError, BadNameError
            There is no such label.
        DiskFullError, StoreError
            It is still there.
        """
        check_name("image id", image_id)
        check_name("tag", tag)
        try:
            with self._database.writing() as connection:
                # On its own, so that the kept file is recorded even if removing the label fails.
                self._keep_current(connection, image_id, tag)
            with self._database.writing() as connection:
                current = self._keep_current(connection, image_id, tag)
                if current:
                    versions.set_present(connection, image_id, tag, present=False)
                    self._files.journal.note_present(current, present=False, synced=True)
                    # Before the end of the transaction: later it could be the file of somebody's next save.
                    self._files.unpublish(image_id, tag)
        except OSError as error:
            raise file_failure(f"{image_id}: label {tag!r} was not removed", error) from error
        if current is None:
            raise UnknownLabelError(f"{image_id}: there is no label {tag!r}")

    def _put(
        self, image_id: str, tag: str, write: Callable[[Path], object], save: Save, origin: Origin
    ) -> Version:
        check_name("image id", image_id)
        check_name("tag", tag)
        save = replace(save, author=storable(save.author))
        self._sync.catch_up()
        with self._database.reading() as connection:
            _check_there(images.is_there(connection, image_id), image_id)
        try:
            with self._files.draft(image_id, tag, write) as draft:
                version, current = self._record(draft, save, origin)
        except OSError as error:
            raise file_failure("the label was not stored", error) from error
        if version.origin in (Origin.CONFLICT, Origin.REPEAT):
            self._files.unstage(tag, draft.key)
        if version.origin is Origin.CONFLICT:
            raise _conflict(version, current)
        if version.origin is Origin.REPEAT:
            return version
        self._publish(version)
        return version

    def _record(self, draft: Draft, save: Save, origin: Origin) -> tuple[Version, Version | None]:
        image_id, tag = draft.image_id, draft.tag
        with self._database.writing() as connection:
            _check_there(images.locked(connection, image_id), image_id)
            self._sync.reconcile_locked(connection, image_id, tag)
            current = versions.current(connection, image_id, tag)
            base = None if save.base is None else min(save.base, _MOST)
            if base is None and tag == FINAL and origin is Origin.SAVED:
                base = leases.opened(connection, image_id, save.author)
            is_repeat = origin is Origin.REPEAT
            conflict = not is_repeat and base is not None and base != (current.number if current else 0)
            beside = conflict or is_repeat
            version = Version(
                image_id,
                tag,
                versions.next_number(connection, image_id, tag),
                Origin.CONFLICT if conflict else origin,
                save.author,
                time.time(),
                *draft.state,
                key=draft.key,
                base=base,
                model=save.model,
                ef_before=save.ef_before,
                info=save.info,
            )
            if current and not beside:
                self._keep(connection, current)
            while versions.has_state(connection, image_id, tag, draft.state):
                self._files.restamp(draft)
            version = replace(version, modified_ns=draft.state[0])
            version = versions.add(connection, version, make_current=not beside)
            self._files.journal.note_version(connection, version, current=not beside, synced=True)
            if tag == FINAL and not beside:
                leases.note_opened(connection, image_id, save.author, version.number)
            draft.may_be_recorded = True
        return version, current

    def _keep_current(self, connection: Connection, image_id: str, tag: str) -> Version | None:
        if images.locked(connection, image_id):
            self._sync.reconcile_locked(connection, image_id, tag)
        current = versions.current(connection, image_id, tag)
        if current:
            self._keep(connection, current)
        return current

    def _keep(self, connection: Connection, current: Version) -> None:
        """Archive a version that so far is only in ``labels/``, before it is replaced."""
        if current.key is None:
            with suppress(UnknownLabelError):  # who wrote it has replaced or removed it since
                key = self._files.preserve(current)
                versions.set_values(connection, current, key=key)
                self._files.journal.note_values(current, {"key": key})

    def _publish(self, version: Version) -> None:
        image_id, tag = version.image_id, version.tag
        try:
            with self._database.writing() as connection:
                images.locked(connection, image_id)
                self._sync.reconcile_locked(connection, image_id, tag)
        except OSError as error:
            raise StoreError(
                f"{image_id}: stored as version {version.number}, but labels/{tag} cannot be written"
                f" ({error.strerror}); once it can, the label is put there by itself"
            ) from error


def _check_there(exists: bool, image_id: str) -> None:
    if not exists:
        raise UnknownImageError(f"no image {image_id!r} in this studies folder")


def _conflict(version: Version, current: Version | None) -> ConflictError:
    present = (
        f"version {current.number} of {current.author or 'somebody'}" if current else "no label any more"
    )
    return ConflictError(
        f"{version.image_id}: the label changed since you opened it ({present} is current now); yours is kept"
        f" as version {version.number}: look at both and save again with base_version"
        f" {current.number if current else 0}, or roll back",
        {
            "current": current.as_json(current=True) if current else None,
            "yours": version.as_json(current=False),
        },
    )
