"""Place of a studies folder's audit log, and the key of its pseudonyms."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from cardiolabel.errors import InputError
from cardiolabel.io.secret_file import make_secret, read_secret
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.system.user_folders import state_folder

__all__ = ["LOG_NAME", "audit_folder", "read_key", "secret_key"]

LOG_NAME = "audit.jsonl"

_KEY_NAME = "key"


def audit_folder(studies: Path, *, read_only: bool = False) -> Path:
    """Return the folder of the audit log, made if missing, which only its owner may open.

    Parameters
    ----------
    studies : Path
        The studies folder.
    read_only : bool
        Leave the studies folder as it is, and use the user's folder for states.

    Raises
    ------
    OSError
        Neither place can be written to.
    """
    folders = list(_folders(studies))[1 if read_only else 0 :]
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
    raise PermissionError(f"no folder for the audit log of {studies.name} can be written to")


def secret_key(studies: Path, folder: Path) -> bytes:
    """Return the key of a studies folder's pseudonyms; made in ``folder`` if missing.

    Raises
    ------
    InputError
        The key that is there is damaged.
    OSError
        There is none, and none can be made.
    """
    if _key_file(studies) is None:
        make_secret(folder / _KEY_NAME)
    return read_key(studies)


def read_key(studies: Path) -> bytes:
    """Return the key of a studies folder's pseudonyms.

    Raises
    ------
    InputError
        There is none, or it is damaged.
    """
    path = _key_file(studies)
    if path is None:
        raise InputError(f"{studies.name}: no server wrote an audit log of this studies folder for this user")
    return read_secret(path)


def _key_file(studies: Path) -> Path | None:
    paths = (folder / _KEY_NAME for folder in _folders(studies))
    return next((path for path in paths if path.is_file()), None)


def _folders(studies: Path) -> Iterator[Path]:
    resolved = studies.resolve()
    yield StudiesLayout(resolved).audit
    yield state_folder() / "audit" / hashlib.sha256(os.fsencode(resolved)).hexdigest()[:16]
