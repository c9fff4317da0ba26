"""Image files of the studies folder: added once, replaced on request, removed with a note.

An image that was converted has its original in ``.cardiolabel/images/<image_id>/original.*``. Beside
``.cardiolabel/images/<image_id>/<number>.nii.gz``, the image's file before its ``number``-th
replacement, lies a JSON note with author and time. ``removed.json`` is the note of a removed image, with its
checksum but without its pixels.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from cardiolabel.domain import Record, View
from cardiolabel.errors import BadNameError, BusyError, ConflictError, ImageContentError, ManifestError
from cardiolabel.io.files import atomic, copy_synced, exclusive, remove_partial, sync_folder
from cardiolabel.io.images import read_image
from cardiolabel.records import manifest
from cardiolabel.records.file_names import id_from_name, image_suffix, is_image_name
from cardiolabel.records.layout import ORIGINAL, StudiesLayout
from cardiolabel.records.studies_folder import StudiesFolder
from cardiolabel.store.image_names import TakenNames
from cardiolabel.store.store import Store

logger = logging.getLogger(__name__)

_LOCK, _REMOVED, _ORIGINAL = "images.lock", "removed.json", "original"
_WAIT_S = 30
_JUST_NOW_S = 60  # another machine's locks may not be seen here


@dataclass(frozen=True)
class Replaced:
    """Result of a replacement: the image's version, 0 as first added."""

    image_id: str
    version: int
    checksum: str


class ImageFiles:
    """Changes the image files of one studies folder; safe between threads and processes.

    Parameters
    ----------
    studies : StudiesFolder
        The folder's records.
    store : Store
        The folder's store.
    """

    def __init__(self, studies: StudiesFolder, store: Store) -> None:
        self._studies, self._store = studies, store
        self._home = StudiesLayout(studies.folder).removed_images

    def clear_abandoned(self) -> None:
        """Remove half-written files of killed processes; files of running ones stay."""
        folder = self._studies.folder
        for place in (folder, StudiesLayout(folder).home, *self._home.glob("*")):
            remove_partial(place, older_than_s=_JUST_NOW_S)

    def add(
        self,
        source: Path,
        stem: str,
        *,
        original: Path | None = None,
        view: View = View.UNKNOWN,
        frame_rate_hz: float | None = None,
    ) -> Record:
        """Store a new image; adding the same file again is no error.

        Parameters
        ----------
        source : Path
            The file, checked to be an image.
        stem : str
            Name of its file in the studies folder, without suffix.
        original : Path, optional
            The file that it was converted from, which is kept as well.
        view, frame_rate_hz : optional
            What the original says, for the manifest; a view in the name wins.

        Returns
        -------
        Record
            Of the new image, or of the one that was there with the same bytes.

        Raises
        ------
        BadNameError
            An image's file cannot be called so.
        ConflictError
            The name, or one that could be taken for it, belongs to another image; that is left as it is.
        BusyError
            Others are adding images, and do not come to an end.
        """
        target = self._studies.folder / f"{stem}{image_suffix(source)}"
        if not is_image_name(target):
            raise BadNameError(f"{target.name}: called as a reference mask is; rename it")
        with self.locked():
            records = self._studies.by_id()
            checksum = sha256(source)
            taken = TakenNames.read(self._studies, self._store.database)
            owners = taken.owners_of(stem)
            for owner in sorted(owners & records.keys()):
                if sha256(records[owner].path) == checksum:
                    return records[owner]
            for owner in sorted(owners):
                self._check_may_return(owner, target, checksum, taken)
            try:
                with exclusive(target) as draft:
                    draft.write_bytes(source.read_bytes())
            except FileExistsError:
                message = f"there is another image {stem!r} by now; choose another id"
                raise ConflictError(message, {"image": stem}) from None
            sync_folder(target.parent)
            record = next(record for record in self._studies.records() if record.path == target)
            (self._home / record.image_id / _REMOVED).unlink(missing_ok=True)
            if original is not None:
                kept = self._home / record.image_id / f"{_ORIGINAL}{original.suffix.lower()}"
                kept.parent.mkdir(parents=True, exist_ok=True)
                copy_synced(original, kept)
            return self._described(record, view, frame_rate_hz)

    def _described(self, record: Record, view: View, frame_rate_hz: float | None) -> Record:
        """Write what an image's original says of it into the manifest, unless that is malformed."""
        described = replace(
            record,
            view=view if record.view is View.UNKNOWN else record.view,
            frame_rate_hz=record.frame_rate_hz or frame_rate_hz,
        )
        if described == record:
            return record
        try:
            self._write_rows([described])
        except ManifestError:
            logger.warning("the manifest is malformed; the view and frame rate of an upload are not kept")
            return record
        return described

    def describe(self, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Write what is known of images into the manifest.

        Parameters
        ----------
        changes : mapping
            New values of fields of `Record`, by image id.

        Raises
        ------
        ManifestError
            The manifest is malformed.
        BusyError
            Others are adding images, and do not come to an end.
        """
        with self.locked():
            records = self._studies.by_id()
            described = [
                replace(records[image_id], **fields)
                for image_id, fields in changes.items()
                if image_id in records and fields
            ]
            if described:
                self._write_rows(described)

    def _write_rows(self, described: Sequence[Record]) -> None:
        """Write records into the manifest, in place of rows with their ids."""
        folder = self._studies.folder
        rows = manifest.read(folder) if StudiesLayout(folder).manifest.exists() else []
        by_id = {row.image_id: row for row in (*rows, *described)}
        manifest.write(list(by_id.values()), folder)

    def replace(self, image_id: str, source: Path, *, checksum: str, author: str) -> Replaced:
        """Replace an image's pixels by others on the same grid, and archive the old file.

        The final label stays, as it lies on the new pixels as well. A stored prediction is removed, as it was
        made from the old ones; its versions are kept.

        Parameters
        ----------
        image_id : str
        source : Path
            The new file, checked to be an image.
        checksum : str
            SHA-256 of the file that is to be replaced, in hexadecimal digits.
        author : str
            Who replaces it.

        Raises
        ------
        UnknownImageError
            No image of that id.
        ConflictError
            Somebody else replaced it in the meantime.
        ImageContentError
            The new file has another shape, place or format.
        """
        with self.locked():
            record = self._studies.record(image_id)
            current = sha256(record.path)
            notes = (self._home / image_id).glob("*.json")
            numbers = [int(path.stem) for path in notes if path.stem.isdecimal()]
            if current != checksum.lower():
                details = {"image": image_id, "checksum": f"SHA256:{current}"}
                raise ConflictError(f"image {image_id!r} is another one by now; look at it again", details)
            if sha256(source) == current:
                return Replaced(image_id, len(numbers), current)
            self._check_same_grid(record, source)
            number = max(numbers, default=0) + 1
            old_file = self._home / image_id / f"{number}{image_suffix(record.path)}"
            old_file.parent.mkdir(parents=True, exist_ok=True)
            copy_synced(record.path, old_file)
            self._note(image_id, f"{number}.json", {"sha256": current, "replaced_by": author})
            with atomic(record.path) as draft:
                draft.write_bytes(source.read_bytes())
            sync_folder(record.path.parent)
            if any(label.tag == ORIGINAL for label in self._store.labels(image_id)):
                self._store.writer.remove_label(image_id, ORIGINAL)
            return Replaced(image_id, number, sha256(record.path))

    def remove(self, image_id: str, *, author: str) -> None:
        """Remove an image and its labels; the labels' versions and the image's checksum are kept.

        Until the same file is added again, no other image gets the id, if it had labels.

        Raises
        ------
        UnknownImageError
            No image of that id.
        """
        with self.locked():
            record = self._studies.record(image_id)
            digest = sha256(record.path) if record.path.is_file() else ""
            note = {"sha256": digest, "name": record.path.name, "removed_by": author}
            self._note(image_id, _REMOVED, note)
            for label in self._store.labels(image_id):
                self._store.writer.remove_label(image_id, label.tag)
            record.path.unlink(missing_ok=True)
            for original in (self._home / image_id).glob(f"{_ORIGINAL}*"):
                original.unlink()
            self._store.sync.catch_up()

    def _check_may_return(self, owner: str, target: Path, checksum: str, taken: TakenNames) -> None:
        """Accept the name of a removed image only for the same file, or where no label is kept of it."""
        stem = target.name[: -len(image_suffix(target) or "")]
        if owner in taken.present or owner != id_from_name(stem):
            message = f"the name {stem!r} is taken by image {owner!r}; choose another id"
            raise ConflictError(message, {"image": owner})
        note = self._home / owner / _REMOVED
        removed: dict[str, Any] = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
        returns = (removed.get("sha256"), removed.get("name")) == (checksum, target.name)
        is_free = owner not in taken.labelled and taken.listed.get(owner, target) == target
        if not (returns or is_free):
            message = f"image id {owner!r} was another image's, of which labels are kept; choose another id"
            raise ConflictError(message, {"image": owner})

    def _check_same_grid(self, record: Record, source: Path) -> None:
        if image_suffix(source) != image_suffix(record.path):
            suffix = image_suffix(record.path)
            raise ImageContentError(f"image {record.image_id!r}: expected a {suffix} file, as the old one is")
        old, new = read_image(record.path).grid, read_image(source).grid
        if old.shape != new.shape or not np.allclose(old.affine_mm, new.affine_mm, atol=1e-4):
            raise ImageContentError(
                f"image {record.image_id!r}: the new file has another shape or lies elsewhere, so that labels"
                " would not lie on it; add it as an image of its own"
            )

    def _note(self, image_id: str, name: str, note: dict[str, str]) -> None:
        path = self._home / image_id / name
        with atomic(path) as draft:
            content = {**note, "at": datetime.now(UTC).isoformat(timespec="seconds")}
            draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        sync_folder(path.parent)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Yield while holding the folder's lock for image files; a killed process releases it."""
        try:
            with FileLock(self._home.parent / _LOCK, timeout=_WAIT_S):
                yield
        except Timeout:
            raise BusyError("others are adding images; send it again later") from None


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
