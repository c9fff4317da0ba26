"""Names that may become files and folders."""

from __future__ import annotations

import re

from cardiolabel.errors import BadNameError

_LONGEST = 248  # 255, which file systems take, less ".nii.gz"
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{_LONGEST - 1}}}")


def is_name(name: object) -> bool:
    """Return whether a name is valid for a file or folder on every system."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def storable(text: str) -> str:
    """Return a name without NUL and lone surrogates, as every database accepts it.

    >>> storable("Ann" + chr(0))
    'Ann?'
    """
    return text.replace("\0", "?").encode("utf-8", "replace").decode("utf-8")


def check_name(what: str, name: str) -> str:
    """Return a name unchanged if it is valid for a file or folder on every system.

    Raises
    ------
    BadNameError
        It could lead elsewhere, or is too long.

    Examples
    --------
    >>> check_name("tag", "final")
    'final'
    """
    if not is_name(name):
        shown = str(name)[:80]
        raise BadNameError(
            f"{what} {shown!r}: expected up to {_LONGEST} letters, digits and ._-, beginning with a letter or"
            " digit"
        )
    return name
