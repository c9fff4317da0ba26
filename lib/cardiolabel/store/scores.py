"""Scores of patients, as last computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select

from cardiolabel.store.tables import scores


@dataclass(frozen=True)
class Scored:
    """A patient's score; ``state`` is that of `Studies.state`, ``scored_at`` in seconds since 1970, UTC.

    ``sequence`` is the order in which scores were stored.
    """

    patient: str
    state: str
    scored_at: float
    score: dict[str, Any]
    sequence: int = 0


def since(connection: Connection, sequence: int) -> list[Scored]:
    """Return the scores stored after a sequence number, in order."""
    rows = connection.execute(select(scores).where(scores.c.sequence > sequence).order_by(scores.c.sequence))
    return [Scored(**row._mapping) for row in rows]


def put(connection: Connection, scored: Scored) -> None:
    """Store a patient's score in place of the last one; call `Database.alone` before."""
    last = connection.execute(select(func.max(scores.c.sequence))).scalar() or 0
    connection.execute(delete(scores).where(scores.c.patient == scored.patient))
    connection.execute(scores.insert().values({**vars(scored), "sequence": last + 1}))
