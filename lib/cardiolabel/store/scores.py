"""What a model leaves open about each patient, as last scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, select

from cardiolabel.store.tables import scores


@dataclass(frozen=True)
class Scored:
    """A patient's score; ``state`` as `Studies.state` was, ``scored_at`` in seconds since 1970, UTC."""

    patient: str
    state: str
    scored_at: float
    score: dict[str, Any]


def since(connection: Connection, time_s: float) -> list[Scored]:
    """Scores of that time and later ones, the oldest first."""
    rows = connection.execute(select(scores).where(scores.c.scored_at >= time_s).order_by(scores.c.scored_at))
    return [Scored(**row._mapping) for row in rows]


def put(connection: Connection, scored: Scored) -> None:
    """Keep a score in place of the patient's last one."""
    connection.execute(delete(scores).where(scores.c.patient == scored.patient))
    connection.execute(scores.insert().values(vars(scored)))
