"""Parts of a request, checked: JSON parameters and uploaded files."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from fastapi import UploadFile

from lib.errors import refused


def json_object(params: str) -> dict[str, Any]:
    """A form's ``params``, which is a JSON object or nothing."""
    try:
        value = json.loads(params or "{}")
    except json.JSONDecodeError as error:
        raise refused(422, "bad_params", f"params: expected a JSON object ({error})") from None
    if not isinstance(value, dict):
        raise refused(422, "bad_params", f"params: expected a JSON object, got {type(value).__name__}")
    return value


def upload(file: UploadFile, folder: Path) -> Path:
    """Write an uploaded file into a folder, under its own name made harmless."""
    # The name tells the view, and messages repeat it.
    name = re.sub(r"[^A-Za-z0-9._-]", "_", Path(file.filename or "").name).lstrip(".")
    path = folder / (name or "upload")
    with path.open("wb") as target:
        shutil.copyfileobj(file.file, target)
    return path
