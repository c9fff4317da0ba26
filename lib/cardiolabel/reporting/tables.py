"""Tables ``frames``, ``patients`` and ``measurements`` as CSV and Parquet, each written whole or not at all.

``measurements`` has a row for each value. The other two are made of the same values, a column per quantity.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from cardiolabel.io.files import atomic
from cardiolabel.measurements.records import Study
from cardiolabel.measurements.values import MeasuredValue, Quantity, measured_values
from cardiolabel.system.readable_text import readable_text

FRAME_COLUMNS = (
    "image_id",
    "patient",
    "view",
    "phase",
    "frame",
    "lv_area_mm2",
    "lv_length_mm",
    "lv_volume_ml",
    "quality",
    "reason",
)
PATIENT_COLUMNS = (
    "patient",
    "method",
    "convention",
    "edv_ml",
    "esv_ml",
    "sv_ml",
    "ef_pct",
    "ef_low_pct",
    "ef_high_pct",
    "length_a4c_ed_mm",
    "length_a2c_ed_mm",
    "length_a4c_es_mm",
    "length_a2c_es_mm",
    "quality",
    "reason",
)

VALUE_COLUMNS = (
    "patient",
    "quantity",
    "method",
    "convention",
    "view",
    "phase",
    "image_id",
    "frame",
    "value",
    "unit",
    "low",
    "high",
    "quality",
    "reason",
)

_FRAMES, _PATIENTS, _VALUES = "frames", "patients", "measurements"
_KINDS = (".csv", ".parquet")


class _Rows(Protocol):
    """Writer of a table's rows."""

    def writerows(self, rows: Iterable[Mapping[str, Any]], /) -> Any: ...


@contextmanager
def tables_of(folder: Path) -> Iterator[Callable[[Study], None]]:
    """Yield a function that writes one study's rows; all tables appear, whole, at the end of the block.

    They are ``frames``, ``patients`` and ``measurements``, each as ``.csv`` and as ``.parquet`` of the same
    values. A value that could not be measured is an empty cell, null in Parquet.

    Raises
    ------
    OSError
        The folder cannot be written; tables that were there stay whole.
    """
    from cardiolabel.reporting.parquet import parquet_rows  # slow to load, and the server writes no tables

    with ExitStack() as drafts, ExitStack() as open_tables:

        def both(name: str, columns: Sequence[str]) -> tuple[_Rows, _Rows]:
            text, typed = (drafts.enter_context(atomic(path)) for path in _files(folder, name))
            return (
                open_tables.enter_context(_csv_rows(text, columns)),
                open_tables.enter_context(parquet_rows(typed, columns)),
            )

        frames, patients = both(_FRAMES, FRAME_COLUMNS), both(_PATIENTS, PATIENT_COLUMNS)
        values = both(_VALUES, VALUE_COLUMNS)

        def write(study: Study) -> None:
            measured = tuple(measured_values(study))
            for tables, rows in (
                (frames, frame_cells(measured)),
                (patients, patient_cells(measured)),
                (values, [_value_cells(value) for value in measured]),
            ):
                for table in tables:
                    table.writerows(rows)

        yield write


def table_files(folder: Path) -> tuple[Path, ...]:
    """Return all files that `tables_of` writes."""
    return tuple(path for name in (_FRAMES, _PATIENTS, _VALUES) for path in _files(folder, name))


def _files(folder: Path, name: str) -> tuple[Path, ...]:
    return tuple(folder / f"{name}{kind}" for kind in _KINDS)


def frame_cells(values: Iterable[MeasuredValue]) -> list[dict[str, Any]]:
    """Return the rows of ``frames``: numbers rounded to 1e-4 of their unit, flags joined by semicolons.

    Parameters
    ----------
    values : iterable of MeasuredValue
        Those of frames count.
    """
    return [
        _row(of_frame, FRAME_COLUMNS)
        for _, of_frame in groupby(
            (value for value in values if value.frame is not None),
            key=lambda value: (value.image_id, value.frame),
        )
    ]


def patient_cells(values: Iterable[MeasuredValue]) -> list[dict[str, Any]]:
    """Return the rows of ``patients``, as `frame_cells`; values with a method and a convention count."""
    return [
        _row(of_kind, PATIENT_COLUMNS)
        for _, of_kind in groupby(
            (value for value in values if value.method is not None),
            key=lambda value: (value.patient, value.method, value.convention),
        )
    ]


def _row(values: Iterable[MeasuredValue], columns: Sequence[str]) -> dict[str, Any]:
    """Return values of one frame, or of one method and convention, by the columns of a table."""
    by_column: dict[str, Any] = {}
    for value in values:
        if not by_column:
            by_column = {name: getattr(value, name, None) for name in columns}
        by_column[_column(value)] = value.value
        if value.quantity is Quantity.EF:
            by_column["ef_low_pct"], by_column["ef_high_pct"] = value.low, value.high
    return {name: _plain(by_column[name]) for name in columns}


def _column(value: MeasuredValue) -> str:
    if value.quantity is Quantity.LV_LENGTH and value.frame is None:
        return f"length_{value.view}_{value.phase}_{value.unit}".lower()
    return f"{value.quantity}_{value.unit}"


def _value_cells(value: MeasuredValue) -> dict[str, Any]:
    cells = {name: _plain(getattr(value, name)) for name in VALUE_COLUMNS}
    return {**cells, **{name: cells[name] or "" for name in ("method", "convention", "view", "phase")}}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return readable_text(";".join(str(flag) for flag in value))
    if isinstance(value, str):
        return readable_text(str(value))
    return round(value, 4) if isinstance(value, float) else value


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as comma-separated text, the whole file or nothing; None is an empty cell.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    with atomic(path) as draft, _csv_rows(draft, columns) as writer:
        writer.writerows(rows)


@contextmanager
def _csv_rows(path: Path, columns: Sequence[str]) -> Iterator[csv.DictWriter[str]]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        yield writer
