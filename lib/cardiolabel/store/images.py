"""Images in the store's tables."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, exists, select, text, update

from cardiolabel.domain import Record
from cardiolabel.records.layout import FINAL
from cardiolabel.store import counts
from cardiolabel.store.tables import images, labels

_DERIVED = ("patient", "present", "patient_rank", "rank", "shuffle")
_MANY = 100


def sync(connection: Connection, records: Sequence[Record], *, writing: bool) -> bool:
    """Update the table from the folder's records; returns whether it differed.

    Rows and label histories of images that are gone are kept, in case they come back. No two transactions may
    write at a time; see `Database.alone`.
    """
    rows = _rows(records)
    columns = [images.c[name] for name in ("image_id", *_DERIVED)]
    stored = {row.image_id: row._mapping for row in connection.execute(select(*columns))}
    new = [row for image_id, row in rows.items() if image_id not in stored]
    gone = [image_id for image_id, row in stored.items() if row["present"] and image_id not in rows]
    moved = [
        row
        for image_id, row in rows.items()
        if image_id in stored and any(row[name] != stored[image_id][name] for name in _DERIVED)
    ]
    differs = bool(new or gone or moved)
    if differs and writing:
        if new:
            connection.execute(images.insert(), [{**row, "open": True, "info": {}} for row in new])
            if len(new) >= _MANY:
                connection.execute(text("ANALYZE images"))  # or queries are planned for an empty table
        if moved:
            values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in _DERIVED}
            changes = [{f"new_{name}": row[name] for name in ("image_id", *_DERIVED)} for row in moved]
            chosen = update(images).where(images.c.image_id == bindparam("new_image_id"))
            connection.execute(chosen.values(values), changes)
        if gone:
            chosen = update(images).where(images.c.image_id == bindparam("gone"))
            connection.execute(chosen.values(present=False), [{"gone": image_id} for image_id in gone])
        _set_open(connection)
        counts.recount(connection)
    return differs


def is_there(connection: Connection, image_id: str) -> bool:
    """Return whether the folder has an image."""
    return bool(connection.execute(select(images.c.present).where(images.c.image_id == image_id)).scalar())


def locked(connection: Connection, image_id: str) -> bool:
    """Lock an image's row until the transaction ends; returns whether the image is there."""
    row = select(images.c.present).where(images.c.image_id == image_id).with_for_update()
    return bool(connection.execute(row).scalar())


def ids(connection: Connection, *, is_open: bool | None = None) -> list[str]:
    """Return the present images in the folder's order, or only those with or without a final label."""
    chosen = [images.c.present] if is_open is None else [images.c.present, images.c.open == is_open]
    order = (images.c.patient_rank, images.c.rank)
    return list(connection.execute(select(images.c.image_id).where(*chosen).order_by(*order)).scalars())


def patients(connection: Connection) -> dict[str, str]:
    """Return the patient of every image that was ever present, by image id."""
    return {
        row.image_id: row.patient for row in connection.execute(select(images.c.image_id, images.c.patient))
    }


def info(connection: Connection, image_id: str) -> dict[str, Any]:
    """Return the notes on an image."""
    text = connection.execute(select(images.c.info).where(images.c.image_id == image_id)).scalar()
    return dict(text or {})


def all_info(connection: Connection) -> dict[str, dict[str, Any]]:
    """Return the notes on every present image, in the folder's order."""
    rows = select(images.c.image_id, images.c.info).where(images.c.present)
    return {
        row.image_id: dict(row.info)
        for row in connection.execute(rows.order_by(images.c.patient_rank, images.c.rank))
    }


def update_info(connection: Connection, image_id: str, changes: dict[str, Any]) -> None:
    """Add to an image's notes; call `locked` before."""
    merged = {**info(connection, image_id), **changes}
    connection.execute(update(images).where(images.c.image_id == image_id).values(info=merged))


def pivot(seed: object) -> int:
    """Return the place in the shuffled order of patients at which a seed starts."""
    return _hash(f"seed:{seed}")


def _rows(records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    patients: dict[str, int] = {}
    return {
        record.image_id: {
            "image_id": record.image_id,
            "patient": record.patient,
            "present": True,
            "patient_rank": patients.setdefault(record.patient, len(patients)),
            "rank": rank,
            "shuffle": _hash(record.patient),
        }
        for rank, record in enumerate(records)
    }


def _hash(text: str) -> int:
    """Return 63 pseudo-random bits of a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _set_open(connection: Connection) -> None:
    labelled = exists().where(labels.c.image_id == images.c.image_id, labels.c.tag == FINAL, labels.c.present)
    is_open = images.c.present & ~labelled
    # Rows that hold already are not touched: others may be labelling them, and hand_out passes over them.
    connection.execute(update(images).where(images.c.open != is_open).values(open=is_open))
