"""Place of the server app: within an installed package, or in the clone that holds the package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from cardiolabel.errors import InputError

NEEDS_SERVER = "MONAI Label is not installed; pip install 'cardiolabel[server]'"

PACKAGE = Path(__file__).resolve().parents[1]

_PACKAGED = PACKAGE / "server_app"
_IN_CLONE = PACKAGE.parents[1] / "apps" / "cardiac_echo"


def app_folder() -> Path:
    """Return the folder of the MONAI Label app, with the shipped models in ``model``."""
    return _PACKAGED if _PACKAGED.is_dir() else _IN_CLONE


def check_server() -> None:
    """Refuse commands that start or ask a server where MONAI Label is not installed.

    Raises
    ------
    InputError
        It is not; the message says how to install it.
    """
    if importlib.util.find_spec("monailabel") is None:
        raise InputError(NEEDS_SERVER)
