"""``frames.csv`` and ``patients.csv``: the table contracts; every table is written whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

from cardiolabel.io.files import atomic
from cardiolabel.measurements.records import FrameRow, PatientRow, Study

FRAME_COLUMNS = (
    "image_id", "patient", "view", "phase", "frame",
    "lv_area_mm2", "lv_length_mm", "lv_volume_ml", "quality", "reason",
)  # fmt: skip
PATIENT_COLUMNS = (
    "patient", "method", "convention", "edv_ml", "esv_ml", "sv_ml", "ef_pct", "ef_low_pct",
    "ef_high_pct", "length_a4c_ed_mm", "length_a2c_ed_mm", "length_a4c_es_mm", "length_a2c_es_mm",
    "quality", "reason",
)  # fmt: skip


@contextmanager
def tables_of(folder: Path) -> Iterator[Callable[[Study], None]]:
    """Yields what writes one study's rows; both tables appear, whole, at the end of the block only.

    A value that could not be measured is an empty cell.

    Raises
    ------
    OSError
        The folder cannot be written; tables that were there stay whole.
    """
    with (
        _table(folder / "frames.csv", FRAME_COLUMNS) as frames,
        _table(folder / "patients.csv", PATIENT_COLUMNS) as patients,
    ):

        def write(study: Study) -> None:
            frames.writerows(cells(row, FRAME_COLUMNS) for row in study.frames)
            patients.writerows(cells(row, PATIENT_COLUMNS) for row in study.rows)

        yield write


def cells(row: FrameRow | PatientRow, columns: Sequence[str]) -> dict[str, Any]:
    """A row as plain values: numbers rounded to 1e-4 of their unit, flags joined by semicolons."""
    return {name: _plain(getattr(row, name)) for name in columns}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return ";".join(str(flag) for flag in value)
    if isinstance(value, StrEnum):
        return str(value)
    return round(value, 4) if isinstance(value, float) else value


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as comma-separated text, the whole file or nothing; None is an empty cell.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    with _table(path, columns) as writer:
        writer.writerows(rows)


@contextmanager
def _table(path: Path, columns: Sequence[str]) -> Iterator[csv.DictWriter[str]]:
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        yield writer
