"""Parts of a request, checked: JSON parameters and uploaded files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from fastapi import UploadFile

from lib.errors import refused
from lib.names import harmless, strict_json


def json_object(params: str, *, what: str = "params") -> dict[str, Any]:
    """A form's field, which is a JSON object or nothing; names in it that are paths are refused."""
    value = strict_json(params, what=what)
    if not isinstance(value, dict):
        raise refused(422, "bad_params", f"{what}: expected a JSON object, got {type(value).__name__}")
    return value


def file_name(file: UploadFile) -> str:
    """An uploaded file's own name made harmless: it tells the view, and messages repeat it.

    MONAI Label's client sends the path that the file has on its machine, of which the last part is taken;
    a path that climbs is refused.
    """
    parts = (file.filename or "").replace("\\", "/").split("/")
    if ".." in parts or "\0" in (file.filename or ""):
        raise refused(400, "bad_name", f"file name {(file.filename or '')[:80]!r}: expected a name")
    return harmless(parts[-1])


def upload(file: UploadFile, folder: Path) -> Path:
    """Write an uploaded file into a folder, under its `file_name`."""
    path = folder / file_name(file)
    with path.open("wb") as target:
        shutil.copyfileobj(file.file, target)
    return path
