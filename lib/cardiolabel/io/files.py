"""Atomic file writes: a reader sees the old file or the new one, never half of either."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PARTIAL = ".partial-"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` with its suffixes; on success sync and rename it.

    Raises
    ------
    OSError
        The disk is full or the folder is not writable; ``path`` is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_PARTIAL, suffix=suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
