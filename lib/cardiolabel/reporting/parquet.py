"""Tables as Parquet, row by row, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from pyarrow.parquet import ParquetWriter

GROUP_ROWS = 8192
"""Rows of a row group, and the most that wait in memory."""

_IN_LONG_FORM = ("value", "low", "high")
_UNITS = {"mm2": "mm2", "mm": "mm", "ml": "ml", "pct": "%"}


class ParquetRows:
    """Writer of a table's rows, made by `parquet_rows`."""

    def __init__(self, file: BinaryIO, columns: Sequence[str]) -> None:
        self._schema = schema(columns)
        self._file = file
        self._writer = ParquetWriter(file, self._schema)
        self._waiting: list[Mapping[str, Any]] = []

    def writerows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows, each with a value or None for every column."""
        for row in rows:
            self._waiting.append(row)
            if len(self._waiting) == GROUP_ROWS:
                self._flush()

    def close(self, *, complete: bool) -> None:
        """Finish the file; rows that wait are dropped unless it is to be complete."""
        try:
            if complete and self._waiting:
                self._flush()
            self._writer.close()
        finally:
            self._writer.is_open = False  # else Arrow tries again, on a closed file, when this is collected

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
        self._waiting = []
        self._file.flush()


@contextmanager
def parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[ParquetRows]:
    """Yield a writer of a table's rows; the file is complete at the end of the block.

    Parameters
    ----------
    path : Path
    columns : sequence of str
        As `schema` takes them.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    with path.open("wb") as file:  # Arrow would encode the path itself, and in some locales wrongly
        rows = ParquetRows(file, columns)
        try:
            yield rows
        except BaseException:
            rows.close(complete=False)
            raise
        rows.close(complete=True)


def schema(columns: Sequence[str]) -> pa.Schema:
    """Return the types of a table's columns, by their names.

    A name that ends in a unit (``_mm2``, ``_mm``, ``_ml``, ``_pct``) is a float64, null where nothing was
    measured, with the unit in the field's metadata; so are ``value``, ``low`` and ``high``, whose unit is a
    column. ``frame`` is an int32, null where a value is of no frame; everything else is text.

    >>> schema(["patient", "frame", "ef_pct"]).types
    [DataType(string), DataType(int32), DataType(double)]
    """
    return pa.schema([_field(name) for name in columns])


def _field(name: str) -> pa.Field:
    unit = _UNITS.get(name.rpartition("_")[2])
    if unit:
        return pa.field(name, pa.float64(), metadata={"unit": unit})
    if name in _IN_LONG_FORM:
        return pa.field(name, pa.float64())
    return pa.field(name, pa.int32()) if name == "frame" else pa.field(name, pa.string(), nullable=False)
