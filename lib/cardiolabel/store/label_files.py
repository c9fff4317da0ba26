"""Label files: the current ones under ``labels/``, every version under ``.cardiolabel/versions``.

A new version is first archived and staged beside its final name. The staged file is renamed only once its
record is on disk. A process killed in between leaves the staged file, and the next process renames it.
"""

from __future__ import annotations

import errno
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cardiolabel.errors import DiskFullError, UnknownLabelError
from cardiolabel.io.files import copy_synced, remove_partial, sync_folder
from cardiolabel.records.layout import SUFFIX, StudiesLayout
from cardiolabel.store.journal import Journal
from cardiolabel.store.versions import Version

STAGED = ".staged-"
_ABANDONED_S = 3600
_JUST_NOW_S = 2
_MAX_NS = 2**63 - 1

FileState = tuple[int, int]
"""Modification time in ns and size in bytes."""


@dataclass
class Draft:
    """An archived and staged version without a record.

    ``may_be_recorded`` is set before the record's transaction commits: if the commit fails, as its server
    does, the outcome is unknown.
    """

    image_id: str
    tag: str
    key: str
    state: FileState
    may_be_recorded: bool = False


class LabelFiles:
    """The label files of one studies folder.

    Parameters
    ----------
    folder : Path
        The studies folder.

    Attributes
    ----------
    archive : Path
        Where every version stays.
    journal : Journal
        What is recorded of the archived versions, beside them.
    """

    def __init__(self, folder: Path) -> None:
        self._layout = StudiesLayout(folder)
        self._labels = self._layout.labels
        self.archive = self._layout.versions
        self._drafts = self._layout.drafts
        self.journal = Journal(self.archive)

    def published(self, image_id: str, tag: str) -> Path:
        """Return the path of the current label."""
        return self._layout.label(image_id, tag)

    def archived(self, image_id: str, tag: str, key: str) -> Path:
        """Return the path of an archived version."""
        return self.archive / tag / image_id / f"{key}{SUFFIX}"

    def has_archive(self) -> bool:
        """Return whether any version was ever archived."""
        return next(self.archived_files(), None) is not None

    def archived_files(self) -> Iterator[tuple[str, str, Path]]:
        """Return the tag, image id and path of every archived version."""
        for path in self.archive.glob(f"*/*/*{SUFFIX}"):
            yield path.parent.parent.name, path.parent.name, path

    def of_version(self, version: Version) -> Path:
        """Return the file that holds a version.

        Raises
        ------
        UnknownLabelError
            Something else had written it and replaced it since, or removed it from the archive.
        """
        image_id, tag = version.image_id, version.tag
        if version.key:
            path = self.archived(image_id, tag, version.key)
            exists = path.is_file()
        else:
            path = self.published(image_id, tag)
            exists = _state(path) == (version.modified_ns, version.size)
        if not exists:
            raise UnknownLabelError(
                f"{image_id}: version {version.number} of label {tag!r} was replaced or removed in the folder"
                " by another program and is gone"
            )
        return path

    def copy_version(self, version: Version, target: Path) -> None:
        """Copy a version's file and sync it to disk; errors as `of_version`."""
        path = self.of_version(version)
        try:
            copy_synced(path, target)
        except FileNotFoundError:
            pass  # the next line says what happened
        self.of_version(version)  # as it was, or it may have been written to while it was copied

    def state(self, image_id: str, tag: str) -> FileState | None:
        """Return the state of the published label; None where there is none."""
        return _state(self.published(image_id, tag))

    @contextmanager
    def draft(self, image_id: str, tag: str, write: Callable[[Path], object]) -> Iterator[Draft]:
        """Archive and stage the file that ``write`` writes; undone if the block raises.

        It is not undone where it may be recorded, unless the disk was too full for the record.

        Raises
        ------
        OSError
            The disk is full, the folder is not writable or a folder has the label's name.
        """
        if self.published(image_id, tag).is_dir():
            reason = f"labels/{tag}/{image_id}{SUFFIX} is a folder; move it away"
            raise IsADirectoryError(errno.EISDIR, reason)
        key = uuid.uuid4().hex
        draft, archived = self._drafts / f"{key}{SUFFIX}", self.archived(image_id, tag, key)
        staged = self._staged(tag, key)
        for path in (draft, archived, staged):
            _make_folder(path.parent)
        drafted = None
        try:
            write(draft)
            self.journal.reserve(image_id, tag)
            draft.replace(archived)
            sync_folder(archived.parent)
            copy_synced(archived, staged, modified_ns=time.time_ns())  # its state tells it from all others
            status = staged.stat()
            drafted = Draft(image_id, tag, key, (status.st_mtime_ns, status.st_size))
            yield drafted
        except BaseException as error:
            if isinstance(error, DiskFullError) or not (drafted and drafted.may_be_recorded):
                for path in (draft, archived, staged):
                    path.unlink(missing_ok=True)
            raise

    def restamp(self, draft: Draft) -> None:
        """Change a staged file's modification time where another version has the same time and size.

        Clocks are set back, and some file systems keep times to two seconds.
        """
        staged = self._staged(draft.tag, draft.key)
        step_ns = 1
        while staged.stat().st_mtime_ns == draft.state[0]:
            os.utime(staged, ns=(draft.state[0] + step_ns,) * 2)
            step_ns *= 10
        with staged.open("rb") as written:
            os.fsync(written.fileno())
        draft.state = staged.stat().st_mtime_ns, draft.state[1]

    def preserve(self, version: Version) -> str:
        """Archive a version that another program wrote, as `of_version` finds it; returns the key.

        Raises
        ------
        UnknownLabelError
            Something else replaced or removed it meanwhile.
        OSError
            The disk is full.
        """
        image_id, tag = version.image_id, version.tag
        key = uuid.uuid4().hex
        archived = self.archived(image_id, tag, key)
        _make_folder(archived.parent)
        try:
            self.copy_version(version, archived)
            sync_folder(archived.parent)
        except (OSError, UnknownLabelError):
            archived.unlink(missing_ok=True)  # it may be what fills the disk
            raise
        return key

    def publish(self, image_id: str, tag: str, key: str) -> bool:
        """Rename the staged file of a version, if it is still there, to the current label."""
        published = self.published(image_id, tag)
        try:
            self._staged(tag, key).replace(published)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return False
        sync_folder(published.parent)
        return True

    def unstage(self, tag: str, key: str) -> None:
        """Remove the staged file of a version; its archived file stays."""
        self._staged(tag, key).unlink(missing_ok=True)

    def unpublish(self, image_id: str, tag: str) -> None:
        """Remove the current label."""
        published = self.published(image_id, tag)
        published.unlink(missing_ok=True)
        if published.parent.is_dir():
            sync_folder(published.parent)

    def tags(self) -> list[str]:
        """Return the folders under ``labels/``."""
        if not self._labels.is_dir():
            return []
        return sorted(path.name for path in self._labels.iterdir() if path.is_dir())

    def states(self, tag: str) -> dict[str, FileState]:
        """Return image id and state of every current label of a tag."""
        try:
            paths = list((self._labels / tag).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        labels = (path for path in paths if path.name.endswith(SUFFIX) and not path.name.startswith("."))
        states = ((path.name.removesuffix(SUFFIX), _state(path)) for path in labels)
        return {image_id: state for image_id, state in states if state is not None}

    def clear_abandoned(self, *, is_alone: bool) -> None:
        """Remove drafts and staged files of killed processes.

        Call it once every label's file was compared with its record, which publishes recorded ones.

        Parameters
        ----------
        is_alone : bool
            No other store is open on the folder; otherwise those of the last hour stay.
        """
        before = time.time() - (_JUST_NOW_S if is_alone else _ABANDONED_S)
        drafts = list(self._drafts.glob("*"))
        for tag in self.tags():
            drafts += (self._labels / tag).glob(f"{STAGED}*")
            remove_partial(self._labels / tag, older_than_s=_JUST_NOW_S)
        for path in drafts:
            try:
                if path.is_file() and path.stat().st_mtime < before:
                    path.unlink()
            except FileNotFoundError:  # another server cleared it
                continue

    def _staged(self, tag: str, key: str) -> Path:
        return self._labels / tag / f"{STAGED}{key}{SUFFIX}"


def _state(path: Path) -> FileState | None:
    """Return the state of a file; None where there is none, or no regular file."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link to itself
            return None
        raise
    if not stat.S_ISREG(status.st_mode):
        return None
    # A file from after the year 2262 is one of a broken clock, and its time more than a database takes.
    return min(max(status.st_mtime_ns, -_MAX_NS), _MAX_NS), status.st_size


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents, and sync them, so that a power cut does not lose their content."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
