"""Validation of JSON parameters and uploaded files."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any, TypeVar

from fastapi import UploadFile
from pydantic import BaseModel, ValidationError

from cardiolabel.records.file_names import last_part, normalized
from lib.security.names import strict_json
from lib.server.errors import refused

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST = 255
_SHOWN_PROBLEMS = 5

Schema = TypeVar("Schema", bound=BaseModel)


def params(schema: type[Schema], text: str, *, what: str = "params") -> Schema:
    """Parse a form's field as the JSON of a schema.

    Raises
    ------
    HTTPException
        400: a name in it is a path. 422: it is no such JSON, or has fields that are not known.
    """
    try:
        return schema.model_validate(json_object(text, what=what))
    except ValidationError as error:
        problems = (
            f"{'.'.join([what, *map(str, problem['loc'])])[:80]}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)[:_SHOWN_PROBLEMS]
        )
        raise refused(422, "bad_params", "; ".join(problems)) from None


def json_object(params: str, *, what: str = "params") -> dict[str, Any]:
    """Parse a form's field as a JSON object or nothing; names in it that are paths are refused."""
    value = strict_json(params, what=what)
    if not isinstance(value, dict):
        raise refused(422, "bad_params", f"{what}: expected a JSON object, got {type(value).__name__}")
    return value


def file_name(file: UploadFile) -> str:
    """Return an uploaded file's own name, which tells patient, view and phase.

    MONAI Label's client sends the file's path on its machine, of which the last part is taken. Unprintable
    characters become ``_``.

    Raises
    ------
    HTTPException
        400: no name, or one that no file can have.
    """
    sent = file.filename or ""
    name = normalized(last_part(sent)).strip()
    if _CONTROL.search(sent) or not name.strip(". ") or len(os.fsencode(_shown(name))) > _LONGEST:
        raise refused(400, "bad_name", f"file name {_shown(sent)[:80]!r}: expected a file's name")
    return _shown(name).lstrip(". ")


def _shown(name: str) -> str:
    return "".join(letter if letter.isprintable() else "_" for letter in name)


def upload(file: UploadFile, folder: Path) -> Path:
    """Write an uploaded file into a folder, under its `file_name`."""
    path = folder / file_name(file)
    with path.open("wb") as target:
        shutil.copyfileobj(file.file, target)
    return path
