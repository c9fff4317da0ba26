"""Records of a studies folder, kept up to date with the folder and its manifest."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cardiolabel.domain import Record, View
from cardiolabel.errors import UnknownImageError, UnknownPatientError
from cardiolabel.io import nifti
from cardiolabel.records import manifest
from cardiolabel.records.label_names import image_names, label_file
from cardiolabel.records.layout import SUFFIX, StudiesLayout, file_of
from cardiolabel.system.file_cache import FileState, file_state

_GRAIN_S = 0.05
"""Seconds within which two changes of a folder may leave the same modification time."""

_log = logging.getLogger(__name__)

_FolderState = tuple[tuple[int, int, int, int] | None, ...]


def state_of(path: Path) -> FileState | None:
    """Return `file_state`; None where there is no such file."""
    try:
        return file_state(path)
    except OSError:
        return None


@dataclass(frozen=True, eq=False)
class _Scan:
    """Records of one scan of the folder."""

    by_id: dict[str, Record]
    by_patient: dict[str, list[Record]]
    disputed: Mapping[str, tuple[str, ...]]
    unowned_ids: frozenset[str]
    names: Mapping[str, str]
    left_out: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, folder: Path, views: Mapping[str, View]) -> _Scan:
        scanned = manifest.scan_folder(folder, suffixes=nifti.SUFFIXES)
        readable = [
            _with_view(record, views)
            for record in scanned.records
            if record.path.name.lower().endswith(nifti.SUFFIXES)
        ]
        by_patient: dict[str, list[Record]] = {}
        for record in readable:
            by_patient.setdefault(record.patient, []).append(record)
        return cls(
            {record.image_id: record for record in readable},
            by_patient,
            scanned.disputed,
            scanned.unowned_ids,
            image_names(folder, readable, unowned_ids=scanned.unowned_ids),
            scanned.left_out,
        )

    def has_content_of(self, other: _Scan) -> bool:
        """Return whether two scans have the same content, images in the same order and of the same paths."""
        same = [*self.by_id.items()] == [*other.by_id.items()] and all(
            record.path == other.by_id[image_id].path for image_id, record in self.by_id.items()
        )
        return same and (self.disputed, self.unowned_ids, self.names, self.left_out) == (
            other.disputed,
            other.unowned_ids,
            other.names,
            other.left_out,
        )


class StudiesFolder:
    """Images and patients of one studies folder; safe to use from several threads.

    Parameters
    ----------
    folder : Path
        Holds ``<image_id>.nii.gz`` and ``manifest.csv``.
    views : mapping of str to View, optional
        Views, by image id, of images whose view neither name nor manifest tells.
    """

    def __init__(self, folder: Path, *, views: Mapping[str, View] | None = None) -> None:
        self.folder = folder
        self._views = views or {}
        self._scanned = _Scan({}, {}, {}, frozenset(), {})
        self._state: _FolderState = (None,)
        self._first_seen_s, self._scanned_s = math.inf, -math.inf
        self._scan_lock = threading.Lock()

    def records(self) -> list[Record]:
        """Return all images; the folder is scanned again whenever it or its manifest changed.

        Raises
        ------
        DatasetError, ManifestError
            The folder is not there or its manifest is malformed.
        """
        return list(self.by_id().values())

    def by_id(self) -> Mapping[str, Record]:
        """Return `records` by image id; the same mapping object while nothing changed."""
        return self._scan().by_id

    def by_patient(self) -> Mapping[str, list[Record]]:
        """Return `records` by patient, in the order of their first image."""
        return self._scan().by_patient

    def patients(self) -> list[str]:
        """Return the patients in the order of their first image."""
        return list(self.by_patient())

    def of_patient(self, patient: str) -> list[Record]:
        """Return a patient's records.

        Raises
        ------
        UnknownPatientError
            No image of that patient.
        """
        try:
            return list(self.by_patient()[patient])
        except KeyError:
            raise UnknownPatientError(f"no patient {patient!r} in this studies folder") from None

    def record(self, image_id: str) -> Record:
        """Return one image's record.

        Raises
        ------
        UnknownImageError
            No image of that id.
        """
        try:
            return self.by_id()[image_id]
        except KeyError:
            names = image_id, f"{image_id}{SUFFIX}"
            reason = next((f"; {why}" for file, why in self.left_out_images() if file in names), "")
            raise UnknownImageError(f"no image {image_id!r} in this studies folder{reason}") from None

    def label_file(self, folder: Path, record: Record) -> Path:
        """Return the path of an image's mask in a folder, as `label_names.label_file` finds it."""
        own = file_of(folder, record.image_id)
        return own if own.is_file() else label_file(folder, record, self.image_names()) or own

    def image_names(self) -> Mapping[str, str]:
        """Return image ids by possible names of label files; see `label_names.image_names`."""
        return self._scan().names

    def left_out_images(self) -> tuple[tuple[str, str], ...]:
        """Return the files with a malformed row in the manifest, or the row's line number, with the
        reason.
        """
        return self._scan().left_out

    def disputed_labels(self) -> Mapping[str, tuple[str, ...]]:
        """Return image ids whose labels could belong to several files, with these files."""
        return self._scan().disputed

    def unowned_ids(self) -> frozenset[str]:
        """Return the ids that none of the images has: disputed ones, and those of images that are gone."""
        return self._scan().unowned_ids

    def _scan(self) -> _Scan:
        """Return the records as they are now.

        A changed folder is recognised by its modification times, never by comparing them with the clock. Two
        changes in quick succession may leave the same times: a scan is final only if it began a while after
        they were first seen.
        """
        with self._scan_lock:
            state, now_s = self._folder_state(), time.monotonic()
            if state != self._state:
                self._state, self._first_seen_s = state, now_s
            elif state[0] and self._scanned_s - self._first_seen_s >= _GRAIN_S:
                return self._scanned
            scanned = _Scan.of(self.folder, self._views)
            self._scanned_s = now_s
            if not scanned.has_content_of(self._scanned):
                if scanned.left_out != self._scanned.left_out:
                    _report(scanned.left_out)
                self._scanned = scanned
            return self._scanned

    def _folder_state(self) -> _FolderState:
        """Return a state that changes whenever an image comes or goes or the manifest changes."""
        return _identity(self.folder), _identity(StudiesLayout(self.folder).manifest)


def _with_view(record: Record, views: Mapping[str, View]) -> Record:
    if record.view is not View.UNKNOWN or record.image_id not in views:
        return record
    return replace(record, view=views[record.image_id])


def _report(left_out: tuple[tuple[str, str], ...]) -> None:
    """Log the number of left-out images; commands name them."""
    _log.info("%d rows of the manifest cannot be understood; their images are left out", len(left_out))
    _log.debug("rows of the manifest: %s", "; ".join(reason for _, reason in left_out))


def _identity(path: Path) -> tuple[int, int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
