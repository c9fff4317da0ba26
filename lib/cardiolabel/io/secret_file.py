"""Secret keys in files that only their owner can read."""

from __future__ import annotations

import os
from pathlib import Path

from cardiolabel.errors import InputError
from cardiolabel.io.files import exclusive

__all__ = ["make_secret", "read_secret"]

_BYTES = 32


def make_secret(path: Path) -> None:
    """Write a new random key of 32 bytes, unless the file is there already.

    Raises
    ------
    OSError
        It cannot be written.
    """
    try:
        with exclusive(path) as draft:
            draft.touch(mode=0o600)
            draft.chmod(0o600)
            draft.write_text(os.urandom(_BYTES).hex() + "\n", encoding="ascii")
    except FileExistsError:
        pass  # another process was quicker


def read_secret(path: Path) -> bytes:
    """Return the 32 bytes of a key that `make_secret` wrote.

    Raises
    ------
    InputError
        The file is damaged.
    OSError
        It cannot be read.
    """
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except ValueError:
        key = b""
    if len(key) != _BYTES:
        raise InputError(f"{path}: damaged; expected {2 * _BYTES} hexadecimal digits, restore it")
    return key
