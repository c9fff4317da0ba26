"""Parsing of one manifest row into a record."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import fields
from enum import Enum
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

from cardiolabel.domain import SPLITS, Convention, Phase, Record, View
from cardiolabel.errors import ManifestError
from cardiolabel.io.numbers_in_text import real, whole
from cardiolabel.records.file_names import FORMS

__all__ = ["COLUMNS", "MM_PER_PIXEL", "REQUIRED", "record_of_row"]

COLUMNS = tuple(field.name for field in fields(Record))
"""Columns that a manifest may have."""

REQUIRED = ("image_id", "patient", "view", "phase", "dataset", "path")
"""Columns that a manifest must have."""

MM_PER_PIXEL = (0.02, 5.0)
"""Sides of a pixel in mm that an image of the heart can have."""

_IMAGE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_Kind = TypeVar("_Kind", bound=Enum)


def record_of_row(values: Mapping[str, str], folder: Path, where: str) -> Record:
    """Parse a row into a record.

    Parameters
    ----------
    values : mapping of str to str
        Cells by column.
    folder : Path
        The manifest's folder.
    where : str
        File and line, for messages.

    Raises
    ------
    ManifestError
        A cell is blank or cannot be understood; the column is named.
    """
    cells: dict[str, Any] = {}
    for column in COLUMNS:
        cell = values.get(column, "")
        if not cell and column in REQUIRED:
            raise ManifestError(f"{where}, column {column}: blank; expected a value")
        if not cell:
            continue
        understand, expected = _CELLS.get(column, (str, "text"))
        try:
            cells[column] = understand(cell)
        except ValueError as error:
            raise ManifestError(f"{where}, column {column}: {cell!r}; expected {expected}") from error
    cells["path"] = _located(folder, values["path"])
    return Record(**cells)


def _located(folder: Path, cell: str) -> Path:
    r"""Where a row's image is: ``\`` separates folders as on Windows, and any form of Unicode counts."""
    paths = [
        folder / path
        for form in (cell, *(unicodedata.normalize(form, cell) for form in FORMS))
        for path in (PurePosixPath(form), PureWindowsPath(form))
    ]
    return next((path for path in paths if path.is_file()), paths[1 if "\\" in cell else 0])


def _id(cell: str) -> str:
    if not _IMAGE_ID.fullmatch(cell):
        raise ValueError(cell)
    return cell


def _path(cell: str) -> Path:
    for pure in (PurePosixPath(cell), PureWindowsPath(cell)):
        if pure.anchor or ".." in pure.parts or not pure.name or "\0" in cell:
            raise ValueError(cell)
    return Path(cell)


def _one_of(kind: type[_Kind]) -> tuple[Callable[[str], _Kind], str]:
    members = {str(member.value).lower(): member for member in kind}

    def understand(cell: str) -> _Kind:
        if cell.lower() not in members:
            raise ValueError(cell)
        return members[cell.lower()]

    return understand, "one of " + ", ".join(str(member.value) for member in kind)


def _yes_or_no(cell: str) -> bool:
    if cell.lower() not in _TRUTH:
        raise ValueError(cell)
    return _TRUTH[cell.lower()]


def _split(cell: str) -> str:
    if cell.upper() not in SPLITS:
        raise ValueError(cell)
    return cell.upper()


_TRUTH = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}

_CELLS: dict[str, tuple[Callable[[str], object], str]] = {
    "image_id": (_id, "letters, digits and ._- after a letter or digit"),
    "view": _one_of(View),
    "phase": _one_of(Phase),
    "path": (_path, "a file in the manifest's own folder"),
    "ed_frame": (whole(1), "a frame number, 1 or more"),
    "es_frame": (whole(1), "a frame number, 1 or more"),
    "frame_rate_hz": (real(1e-3, 1e5), "frames per second"),
    "age_years": (whole(0), "whole years"),
    "reference_ef_pct": (real(0, 100), "a percentage, 0 to 100"),
    "reference_convention": _one_of(Convention),
    "mm_per_pixel": (real(*MM_PER_PIXEL), "the side of a pixel in mm, 0.02 to 5"),
    "training_consent": (_yes_or_no, "yes or no"),
    "split": (_split, f"one of {', '.join(SPLITS)}"),
}
"""Parser and expected text of each column; other columns are plain text."""
