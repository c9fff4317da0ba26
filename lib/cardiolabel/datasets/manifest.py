"""The one record table: ``manifest.csv`` beside the images, and names where it is silent.

The manifest is comma-separated UTF-8 with one row per image and one column per field of
`cardiolabel.domain.Record`; ``path`` is relative to the folder. People edit it, so column order, a
byte-order mark and blank optional cells are accepted, and what it says wins over file names.
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from enum import Enum
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

from cardiolabel.datasets.file_names import (
    IMAGE_SUFFIXES,
    image_suffix,
    is_image_name,
    record_from_name,
    unique_id,
)
from cardiolabel.datasets.numbers_in_text import real, whole
from cardiolabel.domain import SPLITS, Convention, Phase, Record, View
from cardiolabel.errors import DatasetError, ManifestError
from cardiolabel.io.files import atomic

__all__ = ["MANIFEST_NAME", "read", "scan", "split_by_patient", "write"]

MANIFEST_NAME = "manifest.csv"
_COLUMNS = tuple(field.name for field in fields(Record))
_REQUIRED = ("image_id", "patient", "view", "phase", "dataset", "path")
_IMAGE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_Kind = TypeVar("_Kind", bound=Enum)
_log = logging.getLogger(__name__)


def write(records: Iterable[Record], folder: Path) -> None:
    """Write ``folder/manifest.csv``, whole or not at all.

    Parameters
    ----------
    records : iterable of Record
        Every ``path`` lies in the folder.
    folder : Path
        An existing folder.

    Raises
    ------
    ManifestError
        A record that `read` would refuse: a path outside the folder, a duplicate or impossible id.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_COLUMNS)
    for record in records:
        relative = replace(record, path=_relative(record.path, folder))
        table.writerow([_cell(getattr(relative, column)) for column in _COLUMNS])
    _parse(text.getvalue(), folder)
    with atomic(folder / MANIFEST_NAME) as draft:
        draft.write_text(text.getvalue(), encoding="utf-8", newline="")


def read(folder: Path) -> list[Record]:
    """Records of ``folder/manifest.csv``, in its order.

    Parameters
    ----------
    folder : Path
        The studies folder; every record's ``path`` starts with it. The images need not exist.

    Returns
    -------
    list of Record

    Raises
    ------
    ManifestError
        No manifest, or a line or column that cannot be understood; both are named.
    """
    target = folder / MANIFEST_NAME
    try:
        content = target.read_bytes()
    except OSError as error:
        raise ManifestError(f"{target}: cannot be read ({error.strerror}); expected a table") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ManifestError(f"{target}, line {line}: expected UTF-8 text; save the table as UTF-8") from error
    return _parse(text, folder)


def scan(folder: Path, *, strict: bool = False, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> list[Record]:
    """Every image of a studies folder: the manifest's first, then root files it does not name.

    Parameters
    ----------
    folder : Path
        The studies folder.
    strict : bool
        Raise where the manifest names a file that is not there; otherwise such rows are left out.
    suffixes : tuple of str
        Files without a row in the manifest are taken where they end in one of these.

    Returns
    -------
    list of Record

    Raises
    ------
    DatasetError
        No such folder.
    ManifestError
        A malformed manifest, or a missing file when ``strict``.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; expected a folder of images")
    named = read(folder) if (folder / MANIFEST_NAME).exists() else []
    missing = [record.path for record in named if not record.path.is_file()]
    if missing and strict:
        raise ManifestError(
            f"{folder / MANIFEST_NAME}: {len(missing)} of its files do not exist, the first is"
            f" {missing[0].name!r}; restore them or delete their lines"
        )
    if missing:
        _log.warning("%d images that the manifest names do not exist and are left out", len(missing))
        _log.debug("missing images: %s", ", ".join(str(path) for path in missing))
    paths = {record.path for record in named}
    ids = {record.image_id.casefold() for record in named}
    found = [record for record in named if record.path not in set(missing)]
    for path in sorted(folder.iterdir()):
        wanted = is_image_name(path) and image_suffix(path) in suffixes
        if wanted and path not in paths and path.is_file():
            record = record_from_name(path)
            record = replace(record, image_id=unique_id(record.image_id, ids))
            ids.add(record.image_id.casefold())
            found.append(record)
    return found


def split_by_patient(
    records: Sequence[Record], *, holdout: int, seed: int
) -> tuple[list[Record], list[Record]]:
    """Set whole patients aside, the same ones every time.

    Patients are ranked by the SHA-256 of ``"{seed}:{patient}"`` and the first ``holdout`` are set
    aside, so a new patient can displace at most one of them and never reshuffles the others.

    Parameters
    ----------
    records : sequence of Record
        Grouped by ``patient``.
    holdout : int
        Number of patients to set aside.
    seed : int
        Another seed gives another ranking.

    Returns
    -------
    kept, held_out : list of Record
        In the order given; no patient is in both.

    Raises
    ------
    DatasetError
        ``holdout`` is negative or more than there are patients.
    """
    patients = {record.patient for record in records}
    if not 0 <= holdout <= len(patients):
        raise DatasetError(f"cannot hold out {holdout} of {len(patients)} patients")
    ranked = sorted(patients, key=lambda patient: hashlib.sha256(f"{seed}:{patient}".encode()).digest())
    aside = set(ranked[:holdout])
    return (
        [record for record in records if record.patient not in aside],
        [record for record in records if record.patient in aside],
    )


def _relative(path: Path, folder: Path) -> Path:
    """``path`` as seen from ``folder``; an image may itself be a link to somewhere else."""
    for of_path, of_folder in (
        (path, folder),
        (path.parent.resolve() / path.name, folder.resolve()),
    ):
        if of_path.is_relative_to(of_folder) and ".." not in of_path.parts:
            return of_path.relative_to(of_folder)
    raise ManifestError(f"{path}: lies outside {folder}; a manifest names only files in its own folder")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Enum):
        return str(value.value)
    return value.as_posix() if isinstance(value, Path) else str(value)


def _parse(text: str, folder: Path) -> list[Record]:
    target = folder / MANIFEST_NAME
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    records: list[Record] = []
    seen: dict[str, dict[str, int]] = {"image_id": {}, "path": {}}
    try:
        header = [name.strip() for name in next(rows, [])]
        _check_header(header, target)
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            where = f"{target}, line {rows.line_num}"
            if len(cells) > len(header):
                raise ManifestError(f"{where}: {len(cells)} cells, expected {len(header)}; quote commas")
            values = dict(zip(header, cells, strict=False))
            records.append(_record(values, folder, where))
            for column, lines in seen.items():
                first = lines.setdefault(values[column], rows.line_num)
                if first != rows.line_num:
                    raise ManifestError(
                        f"{where}, column {column}: {values[column]!r} is on line {first} already;"
                        " expected once"
                    )
    except csv.Error as error:
        raise ManifestError(f"{target}, line {rows.line_num}: not comma-separated text ({error})") from error
    return records


def _check_header(header: list[str], target: Path) -> None:
    if len(header) == 1 and ";" in header[0]:
        raise ManifestError(f"{target}, line 1: separated by semicolons; expected commas")
    for column in _REQUIRED:
        if column not in header:
            raise ManifestError(f"{target}, line 1: no column {column}; expected {', '.join(_REQUIRED)}")
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise ManifestError(f"{target}, line 1: column {twice[0]} occurs twice; expected once")
    unknown = [name for name in header if name and name not in _COLUMNS]
    if unknown:
        _log.warning("columns of the manifest that are not known and not used: %s", ", ".join(unknown))


def _record(values: dict[str, str], folder: Path, where: str) -> Record:
    known: dict[str, Any] = {}
    for column in _COLUMNS:
        cell = values.get(column, "")
        if not cell and column in _REQUIRED:
            raise ManifestError(f"{where}, column {column}: blank; expected a value")
        if not cell:
            continue
        understand, expected = _CELLS.get(column, (str, "text"))
        try:
            known[column] = understand(cell)
        except ValueError as error:
            raise ManifestError(f"{where}, column {column}: {cell!r}; expected {expected}") from error
    known["path"] = folder / known["path"]
    return Record(**known)


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


def _split(cell: str) -> str:
    if cell.upper() not in SPLITS:
        raise ValueError(cell)
    return cell.upper()


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
    "split": (_split, f"one of {', '.join(SPLITS)}"),
}
"""How a column is understood, and what a person should have typed; other columns are text."""
