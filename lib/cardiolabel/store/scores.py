"""What a model leaves open about each patient, as last scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select

from cardiolabel.store.tables import scores


@dataclass(frozen=True)
class Scored:
    """A patient's score; ``state`` as `Studies.state` was, ``scored_at`` in seconds since 1970, UTC.

    ``sequence`` is the order in which scores were stored.
    """

    patient: str
    state: str
    scored_at: float
    score: dict[str, Any]
    sequence: int = 0


def since(connection: Connection, sequence: int) -> list[Scored]:
    """Return the scores that were stored after that one, in this order."""
    rows = connection.execute(select(scores).where(scores.c.sequence > sequence).order_by(scores.c.sequence))
    return [Scored(**row._mapping) for row in rows]


def put(connection: Connection, scored: Scored) -> None:
    """Keep a score, after all others, in place of the patient's last one; call `Database.alone` before."""
    last = connection.execute(select(func.max(scores.c.sequence))).scalar() or 0
    connection.execute(delete(scores).where(scores.c.patient == scored.patient))
    connection.execute(scores.insert().values({**vars(scored), "sequence": last + 1}))
