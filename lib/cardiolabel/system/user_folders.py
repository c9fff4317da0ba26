"""User folders for state and caches; nothing is written into the package or a clone.

``CARDIOLABEL_STATE`` moves all of them, ``CARDIOLABEL_CACHE`` the caches alone. Otherwise they follow the
operating system: ``~/.local/state/cardiolabel`` and ``~/.cache/cardiolabel`` on Linux.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

STATE_VARIABLE = "CARDIOLABEL_STATE"
CACHE_VARIABLE = "CARDIOLABEL_CACHE"

_NAME = "cardiolabel"


def state_folder() -> Path:
    """Return the folder for logs and other state; it need not exist.

    Raises
    ------
    OSError
        There is no home directory and the variable is not set.
    """
    named = os.environ.get(STATE_VARIABLE)
    return Path(named) if named else _usable(platformdirs.user_state_path(_NAME, appauthor=False))


def cache_folder() -> Path:
    """Return the folder for files that can be made again; it need not exist.

    Raises
    ------
    OSError
        There is no home directory and neither variable is set.
    """
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named)
    if os.environ.get(STATE_VARIABLE):
        return state_folder() / "cache"
    return _usable(platformdirs.user_cache_path(_NAME, appauthor=False))


def _usable(path: Path) -> Path:
    if not path.is_absolute():  # "~" stays where there is no home directory
        raise OSError(f"no home directory; set {STATE_VARIABLE} or {CACHE_VARIABLE} to a folder")
    return path
