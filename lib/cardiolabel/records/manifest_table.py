"""Rows of a manifest: records, and malformed rows with the reason."""

from __future__ import annotations

import csv
import io
import logging
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cardiolabel.domain import Record
from cardiolabel.errors import ManifestError
from cardiolabel.records.file_names import image_stem
from cardiolabel.records.layout import MANIFEST
from cardiolabel.records.manifest_row import COLUMNS, REQUIRED, record_of_row

__all__ = ["BadRow", "ManifestTable", "parse"]

_BETWEEN = re.compile(r'[,;"\t\r\n/\\]+')
_UNDECODED = re.compile("[\udc80-\udcff]")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BadRow:
    """A malformed row.

    Attributes
    ----------
    where : str
        The manifest's name and the row's line.
    reason : str
        Where it is and what was expected there.
    text : str
        The row as it is written.
    """

    where: str
    reason: str
    text: str

    def words(self) -> set[str]:
        """Return the words of the row that may be the name or the id of an image file."""
        return {_composed(word.strip()) for word in _BETWEEN.split(self.text)}


@dataclass(frozen=True)
class ManifestTable:
    """Records in the order of their rows, and malformed rows."""

    records: tuple[Record, ...]
    bad_rows: tuple[BadRow, ...]

    def left_out(self, paths: Iterable[Path]) -> dict[Path, str]:
        """Return the image files that a malformed row may describe, by name or id, with the fault."""
        reasons: dict[str, str] = {}
        for row in self.bad_rows:
            for word in row.words():
                reasons.setdefault(word, row.reason)
        reasons.pop("", None)
        reason_of: dict[Path, str] = {}
        for path in paths:
            names = _composed(path.name), _composed(image_stem(path))
            reason = next((reasons[name] for name in names if name in reasons), None)
            if reason is not None:
                reason_of[path] = reason
        return reason_of


def parse(text: str, folder: Path) -> ManifestTable:
    """Parse a manifest; where an id or a path occurs in several rows, the later ones are malformed.

    Parameters
    ----------
    text : str
        The table; bytes that are no UTF-8 as lone surrogates.
    folder : Path
        The manifest's folder.

    Raises
    ------
    ManifestError
        The first line is no header of a manifest.
    """
    rows = _rows(text)
    header = [name.strip() for name in _header(rows)]
    _check_header(header)
    records: list[Record] = []
    bad_rows: list[BadRow] = []
    lines_of: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        if row.problem or any(cell.strip() for cell in row.cells):
            where = f"{MANIFEST}, line {row.line}"
            try:
                record = _record(row, header, folder, where)
                _check_unique(record, row, header, where, lines_of)
            except (ManifestError, ValueError) as error:
                reason = str(error) if isinstance(error, ManifestError) else f"{where}: {error}"
                bad_rows.append(BadRow(where, reason, row.text))
                continue
            records.append(record)
    return ManifestTable(tuple(records), tuple(bad_rows))


@dataclass(frozen=True)
class _Row:
    """Cells of a row with its last line's number, or its fault."""

    line: int
    text: str
    cells: Sequence[str] = ()
    problem: str = ""


def _rows(text: str) -> Iterator[_Row]:
    """Return the rows of a table; an open quote spoils only its own line."""
    lines = list(io.StringIO(text, newline=""))
    start = 0
    while start < len(lines):
        reader = csv.reader(iter(lines[start:]), strict=True)
        read = 0
        try:
            for cells in reader:
                end = start + reader.line_num
                yield _Row(end, "".join(lines[start + read : end]), cells)
                read = reader.line_num
            return
        except csv.Error as error:
            is_open = start + reader.line_num >= len(lines) and "unexpected end" in str(error)
            end = start + read + 1 if is_open else start + reader.line_num
            problem = f"not comma-separated text ({error})"
            yield _Row(end, "".join(lines[start + read : end]), problem=problem)
            start = end


def _header(rows: Iterator[_Row]) -> Iterable[str]:
    row = next(rows, _Row(1, ""))
    if row.problem:
        raise ManifestError(f"{MANIFEST}, line 1: {row.problem}")
    if _UNDECODED.search(row.text):
        raise ManifestError(f"{MANIFEST}, line 1: expected UTF-8 text; save the table as UTF-8")
    return row.cells


def _record(row: _Row, header: list[str], folder: Path, where: str) -> Record:
    if row.problem:
        raise ManifestError(f"{where}: {row.problem}")
    if _UNDECODED.search(row.text):
        raise ManifestError(f"{where}: expected UTF-8 text; save the table as UTF-8")
    cells = [cell.strip() for cell in row.cells]
    if len(cells) > len(header):
        raise ManifestError(f"{where}: {len(cells)} cells, expected {len(header)}; quote commas")
    return record_of_row(dict(zip(header, cells, strict=False)), folder, where)


def _check_unique(
    record: Record, row: _Row, header: list[str], where: str, lines_of: defaultdict[str, dict[str, int]]
) -> None:
    for column in ("image_id", "path"):
        first = lines_of[column].get(str(getattr(record, column)))
        if first is not None:
            cell = row.cells[header.index(column)].strip()
            raise ManifestError(
                f"{where}, column {column}: {cell!r} is on line {first} already; expected once"
            )
    for column in ("image_id", "path"):
        lines_of[column][str(getattr(record, column))] = row.line


def _check_header(header: list[str]) -> None:
    where = f"{MANIFEST}, line 1"
    if len(header) == 1 and ";" in header[0]:
        raise ManifestError(f"{where}: separated by semicolons; expected commas")
    for column in REQUIRED:
        if column not in header:
            raise ManifestError(f"{where}: no column {column}; expected {', '.join(REQUIRED)}")
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise ManifestError(f"{where}: column {twice[0]} occurs twice; expected once")
    unknown = [name for name in header if name and name not in COLUMNS]
    if unknown:
        _log.warning("unknown columns of the manifest, which are not used: %s", ", ".join(unknown))


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
