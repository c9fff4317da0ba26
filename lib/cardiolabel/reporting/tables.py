"""Tables ``frames`` and ``patients`` as CSV and Parquet, each written whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from cardiolabel.io.files import atomic
from cardiolabel.measurements.records import FrameRow, PatientRow, Study
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

_FRAMES, _PATIENTS = "frames", "patients"
_KINDS = (".csv", ".parquet")


class _Rows(Protocol):
    """Writer of a table's rows."""

    def writerows(self, rows: Iterable[Mapping[str, Any]], /) -> Any: ...


@contextmanager
def tables_of(folder: Path) -> Iterator[Callable[[Study], None]]:
    """Yield a function that writes one study's rows; all tables appear, whole, at the end of the block.

    They are ``frames`` and ``patients``, each as ``.csv`` and as ``.parquet`` of the same values. A value
    that could not be measured is an empty cell, null in Parquet.

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

        def write(study: Study) -> None:
            of_frames = [cells(row, FRAME_COLUMNS) for row in study.frames]
            of_patient = [cells(row, PATIENT_COLUMNS) for row in study.rows]
            for tables, rows in ((frames, of_frames), (patients, of_patient)):
                for table in tables:
                    table.writerows(rows)

        yield write


def table_files(folder: Path) -> tuple[Path, ...]:
    """Return all files that `tables_of` writes."""
    return (*_files(folder, _FRAMES), *_files(folder, _PATIENTS))


def _files(folder: Path, name: str) -> tuple[Path, ...]:
    return tuple(folder / f"{name}{kind}" for kind in _KINDS)


def cells(row: FrameRow | PatientRow, columns: Sequence[str]) -> dict[str, Any]:
    """Return a row as plain values: numbers rounded to 1e-4 of their unit, flags joined by semicolons."""
    return {name: _plain(getattr(row, name)) for name in columns}


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
