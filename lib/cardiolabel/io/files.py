"""Atomic file writes: readers see the old file or the new one, never half of either."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PARTIAL = ".partial-"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` with its suffixes; on success sync and rename it.

    Permissions of the file and of new folders follow the process's umask.

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
    """Write as `atomic` to a path that must be new: of several writers at once exactly one succeeds.

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
    handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    try:
        _lock(handle)  # until it is closed, by whatever ends this process: see `remove_partial`
        yield draft
    finally:
        os.close(handle)
        draft.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    with path.open("rb") as written:
        os.fsync(written.fileno())


def remove_partial(folder: Path, *, older_than_s: float = 0.0) -> None:
    """Remove the temporary files of `atomic` that killed processes left in a folder; those of running ones
    stay.

    Parameters
    ----------
    folder : Path
    older_than_s : float
        Leave files that are younger, in seconds.
    """
    before = time.time() - older_than_s
    for path in folder.glob(f"{_PARTIAL}*"):
        with suppress(FileNotFoundError):  # its writer ended, or another process cleared it
            if path.is_file() and path.stat().st_mtime <= before and not _is_locked(path):
                path.unlink()


def _lock(handle: int) -> bool:
    """Lock an open file; False where another process has it, or the file system has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_locked(path: Path) -> bool:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return not _lock(handle)
    finally:
        os.close(handle)


def copy_synced(source: Path, target: Path, *, modified_ns: int | None = None) -> None:
    """Copy a file and sync the copy to disk.

    ``modified_ns`` sets the copy's modification time in ns since 1970, where the clock is too coarse: most
    systems give files of the same few milliseconds the same time.
    """
    shutil.copyfile(source, target)
    if modified_ns is not None:
        os.utime(target, ns=(modified_ns, modified_ns))
    with target.open("rb") as written:
        os.fsync(written.fileno())


def sync_folder(folder: Path) -> None:
    """Sync the renames within a folder to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
