"""Place of a studies folder's audit log, and the key of its pseudonyms."""

from __future__ import annotations

from pathlib import Path

from cardiolabel.errors import InputError
from cardiolabel.io.secret_file import make_secret, read_secret
from cardiolabel.records.private_folders import make_private_folder, private_folders

__all__ = ["LOG_NAME", "audit_folder", "read_key", "secret_key"]

LOG_NAME = "audit.jsonl"

_FOLDER = "audit"
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
    return make_private_folder(studies, _FOLDER, read_only=read_only)


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
    paths = (folder / _KEY_NAME for folder in private_folders(studies, _FOLDER))
    return next((path for path in paths if path.is_file()), None)
