"""Paths of the server, which are kept from clients."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from monailabel.config import settings

from cardiolabel.system.user_folders import CACHE_VARIABLE, STATE_VARIABLE

_REPOSITORY = Path(__file__).resolve().parents[4]
_ENDS = r"\s'\"`:;,()\[\]{}<>|"
"""Characters that end a path in a text, unless they are in one of the `_folders`."""


def without_paths(text: str) -> str:
    """Replace every path of the server in a message by its file's name.

    Examples
    --------
    >>> without_paths("/usr/share/studies/manifest.csv, line 2: no column path")
    'manifest.csv, line 2: no column path'
    >>> without_paths("nothing at /cardiac/patients; 1/2 of it is application/json")
    'nothing at /cardiac/patients; 1/2 of it is application/json'
    """
    if os.sep not in text:
        return text
    for folder in _folders():
        text = text.replace(folder + os.sep, "").replace(folder, Path(folder).name)
    return _absolute().sub(lambda match: match[0].rstrip("/").rpartition("/")[2], text)


def json_without_paths(value: Any) -> Any:
    """Replace paths as `without_paths`, in every text of JSON-safe values."""
    if isinstance(value, str):
        return without_paths(value)
    if isinstance(value, dict):
        return {json_without_paths(key): json_without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_without_paths(inner) for inner in value]
    return value


@cache
def _absolute() -> re.Pattern[str]:
    """Return whether a path begins with a folder of this machine; addresses of this server do not."""
    names = "|".join(re.escape(path.name) for path in Path("/").iterdir())
    return re.compile(rf"(?<![\w.~/-])/(?:{names})(?:/[^{_ENDS}]*)?(?![^{_ENDS}])")


@cache
def _folders() -> tuple[str, ...]:
    """Return the folders of this server; nested ones first."""
    folders = {path for folder in _places() for path in (folder.absolute(), folder.resolve())}
    names = (str(folder) for folder in folders if len(folder.parts) > 1)
    return tuple(sorted(names, key=len, reverse=True))


def _places() -> Iterator[Path]:
    yield from (_REPOSITORY, Path.cwd(), Path(sys.prefix), Path(sys.base_prefix))
    folders = (settings.MONAI_LABEL_STUDIES, settings.MONAI_LABEL_APP_DIR, settings.MONAI_LABEL_SESSION_PATH)
    variables = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_STATE_HOME", STATE_VARIABLE, CACHE_VARIABLE)
    for place in (*folders, *(os.environ.get(name) for name in variables), tempfile.tempdir):
        if place and "://" not in place:
            yield Path(place).expanduser()
