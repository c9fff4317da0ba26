"""Folders of a studies folder that only their owner may open, also where the studies are only read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from cardiolabel.records.layout import StudiesLayout
from cardiolabel.system.user_folders import state_folder

__all__ = ["make_private_folder", "private_folders"]


def private_folders(studies: Path, name: str) -> Iterator[Path]:
    """Yield the places of a private folder: in the studies folder, and in the user's folder for states.

    Parameters
    ----------
    studies : Path
        The studies folder.
    name : str
        What is kept there, such as ``audit``.
    """
    resolved = studies.resolve()
    yield StudiesLayout(resolved).home / name
    yield state_folder() / name / hashlib.sha256(os.fsencode(resolved)).hexdigest()[:16]


def make_private_folder(studies: Path, name: str, *, read_only: bool = False) -> Path:
    """Return a private folder, made if missing.

    Parameters
    ----------
    studies : Path
        The studies folder.
    name : str
        What is kept there.
    read_only : bool
        Leave the studies folder as it is, and use the user's folder for states.

    Raises
    ------
    OSError
        Neither place can be written to.
    """
    folders = list(private_folders(studies, name))[1 if read_only else 0 :]
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        except OSError:
            if folder == folders[-1]:
                raise
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise PermissionError(f"no folder for the {name} of {studies.name} can be written to")
