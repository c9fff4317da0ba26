"""Files of a patient that a page uploads one by one, and their import by a process of its own."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from cardiolabel.domain import Record
from cardiolabel.errors import ImageReadError
from cardiolabel.records import manifest
from cardiolabel.records.layout import StudiesLayout
from lib.files import temporary
from lib.server import child_process
from lib.server.errors import refused

_ID = re.compile(r"[0-9a-f]{32}")
_FOLDER = "incoming"
_PATIENCE_S = 300
_ABANDONED_S = 6 * 3600
MOST_FILES = 5000


@dataclass(frozen=True)
class Imported:
    """What an upload holds: records of a temporary studies folder, notes on them, and files left out."""

    records: tuple[Record, ...]
    notes: tuple[tuple[str, str], ...]
    skipped: tuple[tuple[str, str], ...]


def begin() -> str:
    """Return the id of a new upload; abandoned ones are removed."""
    for folder in _home().iterdir():
        if time.time() - folder.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)
    upload = secrets.token_hex(16)
    (_home() / upload / "files").mkdir(parents=True)
    return upload


def folder_of(upload: str) -> Path:
    """Return the folder that takes the files of an upload.

    Raises
    ------
    HTTPException
        404: there is no such upload. 422: it has too many files.
    """
    folder = _home() / upload / "files"
    if not _ID.fullmatch(upload) or not folder.is_dir():
        raise refused(404, "unknown_upload", "no such upload; begin another")
    if sum(1 for _ in folder.iterdir()) >= MOST_FILES:
        raise refused(422, "too_many_files", f"an upload takes {MOST_FILES} files at most")
    return folder


def remove(upload: str) -> None:
    """Remove an upload's files."""
    shutil.rmtree(folder_of(upload).parent, ignore_errors=True)


def imported(upload: str) -> Imported:
    """Convert the files of an upload into NIfTI images beside them.

    Raises
    ------
    ImageReadError
        They hold no usable image, or converting them failed or took too long.
    HTTPException
        404: there is no such upload.
    """
    files = folder_of(upload)
    dest = files.parent / "studies"
    command = child_process.module_command(
        "cardiolabel", "prepare", "folder", str(files), str(dest), "--quiet"
    )
    try:
        process = child_process.run_module(command, at_most_s=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise ImageReadError(f"the files take over {_PATIENCE_S} s to convert; upload fewer") from None
    noted = StudiesLayout(dest).imported
    if process.returncode or not noted.is_file():
        lines = process.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = lines[-1] if lines else "they cannot be converted"
        raise ImageReadError(reason.replace(f"{files}: ", "").replace(str(files), "the upload"))
    content = json.loads(noted.read_text(encoding="utf-8"))
    pairs = {name: tuple((place, reason) for place, reason in content[name]) for name in ("notes", "skipped")}
    return Imported(tuple(manifest.read(dest)), pairs["notes"], pairs["skipped"])


def _home() -> Path:
    home = temporary.home() / _FOLDER
    home.mkdir(exist_ok=True)
    return home
