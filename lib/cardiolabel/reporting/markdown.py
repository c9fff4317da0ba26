"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    return [_row(head), _row(["---"] * len(head)), *(_row(row) for row in rows)]


def named_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a table of values by column; None and missing values are empty cells."""
    return table(
        columns, (["" if row.get(name) is None else str(row[name]) for name in columns] for row in rows)
    )


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
