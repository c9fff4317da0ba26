"""Atomic file writes: a reader sees the old file or the new one, never half of either."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PARTIAL = ".partial-"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` with its suffixes; on success sync and rename it.

    The file and the folders that are made for it are as open to others as the process's umask says.

    Raises
    ------
    OSError
        The disk is full or the folder is not writable; ``path`` is then untouched.
    """
    with _draft(path) as draft:
        yield draft
        _sync(draft)
        draft.replace(path)


@contextmanager
def exclusive(path: Path) -> Iterator[Path]:
    """As `atomic`, for a path that must be new: of several writers at once exactly one succeeds.

    Raises
    ------
    FileExistsError
        There is something at ``path``, which stays as it is.
    OSError
        The disk is full or the folder is not writable.
    """
    with _draft(path) as draft:
        yield draft
        _sync(draft)
        try:
            os.link(draft, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without links: for a moment the new file is there, and empty
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            draft.replace(path)


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix
    draft = path.parent / f"{_PARTIAL}{secrets.token_hex(8)}{suffix}"
    # The system takes the umask off, which a process cannot ask for without changing it in all threads.
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    with path.open("rb") as written:
        os.fsync(written.fileno())


def remove_partial(folder: Path) -> None:
    """Remove what killed processes left of `atomic` in a folder that nobody writes to now."""
    for path in folder.glob(f"{_PARTIAL}*"):
        path.unlink(missing_ok=True)


def copy_synced(source: Path, target: Path, *, modified_ns: int | None = None) -> None:
    """Copy a file's content to a name that nobody reads yet, and wait until it is on the disk.

    ``modified_ns`` is the copy's modification time, in ns since 1970, where that of the clock is too coarse:
    most systems give files of the same few milliseconds the same one.
    """
    shutil.copyfile(source, target)
    if modified_ns is not None:
        os.utime(target, ns=(modified_ns, modified_ns))
    with target.open("rb") as written:
        os.fsync(written.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until renames in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
