"""All records as lines of JSON, to move them between databases of either kind."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, func, select

from cardiolabel.errors import StoreError
from cardiolabel.store.migrations import SCHEMA
from cardiolabel.store.tables import counts, facts, images, labels, measurements, metadata, openings, scores
from cardiolabel.store.tables import leases as leases_table
from cardiolabel.store.tables import versions as versions_table

_TABLES = (facts, images, labels, versions_table, measurements, leases_table, openings, scores, counts)
_BATCH = 500


def lines(connection: Connection) -> Iterator[str]:
    """Return every row of every table, from one state of the database."""
    for table in _TABLES:
        names = [column.name for column in table.columns]
        rows = connection.execution_options(yield_per=_BATCH).execute(select(table))
        for row in rows:
            yield json.dumps({"table": table.name, "row": dict(zip(names, row, strict=True))}) + "\n"


def load(connection: Connection, dumped: Iterable[str]) -> None:
    """Insert rows into an empty database.

    Raises
    ------
    StoreError
        The database has rows, or the lines are not of this version's tables.
    """
    if connection.execute(select(func.count()).select_from(images)).scalar():
        raise StoreError("the database has records already; name an empty one")
    connection.execute(facts.delete())
    tables = {table.name: table for table in metadata.tables.values()}
    batch: list[dict[str, Any]] = []
    name = ""
    for line in dumped:
        entry = json.loads(line)
        if batch and (entry["table"] != name or len(batch) == _BATCH):
            connection.execute(tables[name].insert(), batch)
            batch = []
        name = entry["table"]
        if name not in tables or entry["row"].keys() != set(tables[name].columns.keys()):
            raise StoreError(f"its records are not of schema {SCHEMA}; use the version that wrote them")
        batch.append(entry["row"])
    if batch:
        connection.execute(tables[name].insert(), batch)
