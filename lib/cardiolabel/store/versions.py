"""Versions of labels: every one that was ever saved, and the current one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, delete, func, select, update

from cardiolabel.errors import UnknownLabelError
from cardiolabel.records.layout import FINAL, ORIGINAL
from cardiolabel.store import counts
from cardiolabel.store.tables import images, labels, measurements, versions

"""Tag of the masks that an annotator has submitted."""

LAST_S = 253_402_300_799
"""The end of the year 9999, in seconds since 1970."""


class Origin(StrEnum):
    """How a version came to be."""

    SAVED = "saved"
    CONFLICT = "conflict"
    """Kept, but not current: the label changed since its author opened it."""
    REPEAT = "repeat"
    """Kept, but not current: a repeat reading, drawn without sight of the label."""
    ROLLBACK = "rollback"
    FOLDER = "folder"
    """Written into ``labels/`` by another program."""
    IMPORTED = "imported"
    """Imported from MONAI Label's ``datastore_v2.json``."""


@dataclass(frozen=True)
class Version:
    """One version of a label.

    ``saved_at`` is in seconds since 1970, UTC; ``base`` the version its author had opened, where known;
    ``ef_before`` and ``ef_after`` the patient's EF by the best method, in each convention. ``sequence`` is
    the order in which the image's versions of all tags were stored, from 1.
    """

    image_id: str
    tag: str
    number: int
    origin: Origin
    author: str
    saved_at: float
    modified_ns: int
    size: int
    key: str | None = None
    base: int | None = None
    model: dict[str, Any] | None = None
    ef_before: list[dict[str, Any]] | None = None
    ef_after: list[dict[str, Any]] | None = None
    info: dict[str, Any] = field(default_factory=dict)
    sequence: int = 0

    def as_json(self, *, current: bool) -> dict[str, Any]:
        """Return JSON-safe values, without file names."""
        return {
            "version": self.number,
            "current": current,
            "origin": str(self.origin),
            "author": self.author,
            "saved_at": iso_time(self.saved_at),
            "base_version": self.base,
            "model": self.model,
            "ef_before": self.ef_before,
            "ef_after": self.ef_after,
            "bytes": self.size,
            "info": self.info,
        }


def total(connection: Connection) -> int:
    """Return the number of versions; only deletion for good removes any."""
    return int(connection.execute(select(func.count()).select_from(versions)).scalar() or 0)


def iso_time(seconds: float) -> str:
    """Return seconds since 1970 as UTC text, at most the last second of the calendar.

    >>> iso_time(0)
    '1970-01-01T00:00:00+00:00'
    """
    return datetime.fromtimestamp(min(max(seconds, 0), LAST_S), UTC).isoformat(timespec="seconds")


def current(connection: Connection, image_id: str, tag: str) -> Version | None:
    """Return the current version of a label; None without one or after it was removed."""
    version = last_current(connection, image_id, tag)
    return version[0] if version and version[1] else None


def last_current(connection: Connection, image_id: str, tag: str) -> tuple[Version, bool] | None:
    """Return the current version, or the last one of a removed label, and whether the label is there."""
    row = connection.execute(
        select(versions, labels.c.present)
        .join(labels, _same(labels.c.number))
        .where(labels.c.image_id == image_id, labels.c.tag == tag)
    ).first()
    return (_version(row), row.present) if row else None


def all_current(connection: Connection, tag: str | None = None) -> list[Version]:
    """Return the current version of every label of images that are there."""
    query = (
        select(versions)
        .join(labels, _same(labels.c.number))
        .join(images, images.c.image_id == labels.c.image_id)
        .where(labels.c.present, images.c.present)
        .order_by(images.c.patient_rank, images.c.rank, labels.c.tag)
    )
    rows = connection.execute(query if tag is None else query.where(labels.c.tag == tag))
    return [_version(row) for row in rows]


def tags(connection: Connection) -> list[str]:
    """Return the tags of all labels that are there."""
    return list(connection.execute(select(labels.c.tag).where(labels.c.present).distinct()).scalars())


def states(connection: Connection, tag: str) -> dict[str, tuple[int, int]]:
    """Return the modification time in ns and size of the current version of every label of a tag, by image
    id.
    """
    rows = connection.execute(
        select(versions.c.image_id, versions.c.modified_ns, versions.c.size)
        .join(labels, _same(labels.c.number))
        .join(images, images.c.image_id == labels.c.image_id)
        .where(labels.c.present, images.c.present, labels.c.tag == tag)
    )
    return {row.image_id: (row.modified_ns, row.size) for row in rows}


def has_state(connection: Connection, image_id: str, tag: str, state: tuple[int, int]) -> bool:
    """Return whether any version of a label is recorded with this modification time and size."""
    chosen = (versions.c.image_id == image_id, versions.c.tag == tag)
    same = (versions.c.modified_ns == state[0], versions.c.size == state[1])
    return connection.execute(select(versions.c.number).where(*chosen, *same).limit(1)).first() is not None


def of_image(connection: Connection, image_id: str) -> list[Version]:
    """Return the current versions of an image's labels."""
    rows = connection.execute(
        select(versions)
        .join(labels, _same(labels.c.number))
        .where(labels.c.image_id == image_id, labels.c.present)
        .order_by(labels.c.tag)
    )
    return [_version(row) for row in rows]


def history(connection: Connection, image_id: str, tag: str) -> list[Version]:
    """Return every version of a label, the oldest first."""
    chosen = (versions.c.image_id == image_id, versions.c.tag == tag)
    return [
        _version(row)
        for row in connection.execute(select(versions).where(*chosen).order_by(versions.c.number))
    ]


def everything(connection: Connection) -> Iterator[Version]:
    """Return every version of every label."""
    for row in connection.execution_options(yield_per=1000).execute(select(versions)):
        yield _version(row)


def find(connection: Connection, image_id: str, tag: str, number: int) -> Version:
    """Return one version.

    Raises
    ------
    UnknownLabelError
        There is no such version.
    """
    chosen = (versions.c.image_id == image_id, versions.c.tag == tag, versions.c.number == number)
    row = connection.execute(select(versions).where(*chosen)).first()
    if row is None:
        raise UnknownLabelError(f"{image_id}: no version {number} of label {tag!r}")
    return _version(row)


def readings(connection: Connection) -> list[Version]:
    """Return the last version of each image by each named author and repeat reading, predictions excluded."""
    rows = connection.execute(
        select(versions)
        .where(
            versions.c.tag != ORIGINAL,
            versions.c.author != "",
            versions.c.origin.in_(
                [str(origin) for origin in (Origin.SAVED, Origin.CONFLICT, Origin.REPEAT, Origin.IMPORTED)]
            ),
        )
        .order_by(versions.c.sequence)
    )
    last = {(row.image_id, row.author, row.info.get("reading")): _version(row) for row in rows}
    return list(last.values())


def next_number(connection: Connection, image_id: str, tag: str) -> int:
    """Return the number of the next version."""
    last = select(func.max(versions.c.number)).where(versions.c.image_id == image_id, versions.c.tag == tag)
    return (connection.execute(last).scalar() or 0) + 1


def next_sequence(connection: Connection, image_id: str) -> int:
    """Return the image's next sequence number over all tags; call `images.locked` before."""
    last = select(func.max(versions.c.sequence)).where(versions.c.image_id == image_id)
    return (connection.execute(last).scalar() or 0) + 1


def add(connection: Connection, version: Version, *, make_current: bool) -> Version:
    """Record a version as the image's last and the label's current one."""
    version = replace(version, sequence=next_sequence(connection, version.image_id))
    insert(connection, version)
    if make_current:
        set_current(connection, version)
        set_present(connection, version.image_id, version.tag, present=True)
    return version


def insert(connection: Connection, version: Version) -> None:
    """Record a version with its own number and sequence."""
    connection.execute(versions.insert().values({**asdict(version), "origin": str(version.origin)}))


def set_current(connection: Connection, version: Version) -> None:
    """Make a version the label's current one; a removed label stays removed."""
    updated = connection.execute(
        update(labels)
        .where(labels.c.image_id == version.image_id, labels.c.tag == version.tag)
        .values(number=version.number)
    )
    if not updated.rowcount:
        connection.execute(
            labels.insert().values(
                image_id=version.image_id, tag=version.tag, number=version.number, present=False
            )
        )


def set_present(connection: Connection, image_id: str, tag: str, *, present: bool) -> None:
    """Note that a label appeared or disappeared."""
    changed = connection.execute(
        update(labels)
        .where(labels.c.image_id == image_id, labels.c.tag == tag, labels.c.present != present)
        .values(present=present)
    )
    here = select(images.c.present).where(images.c.image_id == image_id)
    if changed.rowcount and connection.execute(here).scalar():  # else neither was counted
        counts.add(connection, counts.of_tag(tag), 1 if present else -1)
        if tag == FINAL:
            connection.execute(update(images).where(images.c.image_id == image_id).values(open=not present))


def set_values(connection: Connection, version: Version, **values: Any) -> None:
    """Change columns of a recorded version."""
    connection.execute(update(versions).where(*_of(versions, version)).values(values))


def study(connection: Connection, version: Version) -> dict[str, Any] | None:
    """Return the patient's study measured with a version, if any."""
    chosen = _of(measurements, version)
    return connection.execute(select(measurements.c.study).where(*chosen)).scalar()


def set_study(connection: Connection, version: Version, study: dict[str, Any]) -> None:
    """Record the patient's study measured with a version."""
    connection.execute(delete(measurements).where(*_of(measurements, version)))
    connection.execute(
        measurements.insert().values(
            image_id=version.image_id, tag=version.tag, number=version.number, study=study
        )
    )


def _of(table: Table, version: Version) -> tuple[ColumnElement[bool], ...]:
    return (
        table.c.image_id == version.image_id,
        table.c.tag == version.tag,
        table.c.number == version.number,
    )


def _same(number: Any) -> Any:
    return (
        (versions.c.image_id == labels.c.image_id)
        & (versions.c.tag == labels.c.tag)
        & (versions.c.number == number)
    )


def _version(row: Row[Any]) -> Version:
    values = {column.name: getattr(row, column.name) for column in versions.columns}
    return Version(**{**values, "origin": Origin(values["origin"])})
