"""Running counts of images and labels."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from cardiolabel.store.tables import counts, images, labels

IMAGES = "images"


def of_tag(tag: str) -> str:
    """Name the count of a tag's labels."""
    return f"labels:{tag}"


def read(connection: Connection) -> tuple[int, dict[str, int]]:
    """Return the number of images, and of labels by tag."""
    totals = {row.name: row.total for row in connection.execute(select(counts))}
    total = totals.pop(IMAGES, 0)
    return total, {name.removeprefix(of_tag("")): n for name, n in sorted(totals.items()) if n}


def add(connection: Connection, name: str, change: int) -> None:
    """Add to a count."""
    new = _insert(connection).values(name=name, total=change)
    connection.execute(_or_update(new, total=counts.c.total + change))


def recount(connection: Connection) -> None:
    """Count again, after images came or went."""
    connection.execute(delete(counts))
    total = connection.execute(select(func.count()).select_from(images).where(images.c.present)).scalar()
    rows = [{"name": IMAGES, "total": total or 0}]
    per_tag = (
        select(labels.c.tag, func.count().label("labels"))
        .join(images, images.c.image_id == labels.c.image_id)
        .where(labels.c.present, images.c.present)
        .group_by(labels.c.tag)
    )
    rows += [{"name": of_tag(row.tag), "total": row.labels} for row in connection.execute(per_tag)]
    new = _insert(connection)
    connection.execute(_or_update(new, total=new.excluded.total), rows)


def _insert(connection: Connection) -> Any:
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(counts)


def _or_update(new: Any, **values: Any) -> Any:
    """Insert a row, or update it where another transaction inserted it first."""
    return new.on_conflict_do_update(index_elements=[counts.c.name], set_=values)
