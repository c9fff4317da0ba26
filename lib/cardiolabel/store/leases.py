"""Leases: an image that was handed to one annotator is kept from all others until the lease ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, select, update

from cardiolabel.errors import LeasedError, UnknownImageError
from cardiolabel.records.layout import FINAL
from cardiolabel.store import versions
from cardiolabel.store.tables import images, leases, openings
from cardiolabel.store.versions import iso_time

_APART_S = 5.0
"""Largest assumed difference between the clocks of two servers, in seconds."""


@dataclass(frozen=True)
class Lease:
    """The annotator of an image, and the end of the lease in seconds since 1970, UTC."""

    image_id: str
    patient: str
    annotator: str
    taken_at: float
    expires_at: float

    def as_json(self) -> dict[str, Any]:
        """Return the JSON-safe form."""
        return {
            "image": self.image_id,
            "patient": self.patient,
            "annotator": self.annotator,
            "taken_at": iso_time(self.taken_at),
            "expires_at": iso_time(self.expires_at),
        }


def any_of_the_future(connection: Connection, *, now: float) -> bool:
    """Return whether leases start later than now, as after a clock was set back."""
    return connection.execute(_future(now).limit(1)).first() is not None


def settle(connection: Connection, *, now: float) -> None:
    """Let leases of the future begin now; rows locked by others are skipped."""
    rows = connection.execute(_future(now).with_for_update(skip_locked=True)).scalars().all()
    if rows:
        connection.execute(
            update(leases)
            .where(leases.c.image_id.in_(rows))
            .values(taken_at=now, expires_at=now + leases.c.expires_at - leases.c.taken_at)
        )


def move(connection: Connection, by_s: float) -> None:
    """Shift the start and end of all leases by some seconds, as the clock was set."""
    connection.execute(
        update(leases).values(taken_at=leases.c.taken_at + by_s, expires_at=leases.c.expires_at + by_s)
    )


def hand_out(
    connection: Connection, annotator: str, *, now: float, seconds: float, pivot: int | None
) -> Lease | None:
    """Lease the next image without a final label to an annotator; None where nothing is left.

    A patient's images follow one another. Patients that others work on come last. An annotator who asks again
    without submitting gets another image, and the first one again only at the end. Annotators without a name
    cannot be told apart, so that this does not hold for them.

    Parameters
    ----------
    now, seconds : float
        Time in seconds since 1970, and for how long.
    pivot : int or None
        Where in the shuffled order of patients to begin; None for the folder's order.
    """
    # Nothing here waits for another transaction's row, or two could wait for each other; see `any_left`.
    ended = select(leases.c.image_id).where(leases.c.expires_at <= now).with_for_update(skip_locked=True)
    connection.execute(delete(leases).where(leases.c.image_id.in_(ended)))
    for query in _candidates(annotator, pivot):
        locking = query.limit(1).with_for_update(of=images, skip_locked=True)
        while row := connection.execute(locking).first():
            # On PostgreSQL another server may have leased it just before its row was locked here.
            if of_image(connection, row.image_id, now=now) is None:
                return _take(connection, row.image_id, row.patient, annotator, now=now, seconds=seconds)
    return renew_oldest(connection, annotator, now=now, seconds=seconds)


def renew_oldest(connection: Connection, annotator: str, *, now: float, seconds: float) -> Lease | None:
    """Renew the image that an annotator has had longest; None where they have none, or no name."""
    if not annotator:
        return None
    oldest = (
        select(leases.c.image_id, leases.c.patient)
        .join(images, images.c.image_id == leases.c.image_id)
        .where(leases.c.annotator == annotator, leases.c.expires_at > now, images.c.open)
        .order_by(leases.c.taken_at)
        .limit(1)
        .with_for_update(of=images, skip_locked=True)  # the same annotator may ask twice at once
    )
    row = connection.execute(oldest).first()
    return _take(connection, row.image_id, row.patient, annotator, now=now, seconds=seconds) if row else None


def take_free(
    connection: Connection, image_id: str, annotator: str, *, now: float, seconds: float
) -> Lease | None:
    """Lease an image without a final label; None if it has one, or another annotator's lease."""
    query = select(images.c.patient).where(images.c.image_id == image_id, images.c.open).with_for_update()
    row = connection.execute(query).first()
    if row is None or of_image(connection, image_id, now=now):
        return None
    return _take(connection, image_id, row.patient, annotator, now=now, seconds=seconds)


@dataclass(frozen=True)
class Offers:
    """Images without a final label or a lease, and all leases.

    Attributes
    ----------
    free : dict of str to list of str
        By patient; both in the folder's order.
    mine, others : frozenset of str
        Patients that this annotator works on, and those that others work on.
    """

    free: dict[str, list[str]]
    mine: frozenset[str]
    others: frozenset[str]


def offers(connection: Connection, annotator: str, *, now: float) -> Offers:
    """Return the images that an annotator may choose from."""
    held = connection.execute(
        select(leases.c.image_id, leases.c.patient, leases.c.annotator).where(leases.c.expires_at > now)
    ).all()
    leased = {row.image_id for row in held}
    free: dict[str, list[str]] = {}
    query = select(images.c.image_id, images.c.patient).where(images.c.open)
    rows = connection.execute(query.order_by(images.c.patient_rank, images.c.rank)).all()
    for image_id, patient in rows:
        if image_id not in leased:
            free.setdefault(patient, []).append(image_id)
    is_mine = {row.patient for row in held if annotator and row.annotator == annotator}
    return Offers(
        free, frozenset(is_mine), frozenset(row.patient for row in held if row.patient not in is_mine)
    )


def any_left(connection: Connection, annotator: str) -> bool:
    """Return whether an image is left for an annotator, though `hand_out` found none.

    `hand_out` skips rows that another transaction holds, as on PostgreSQL.
    """
    leased = exists().where(leases.c.image_id == images.c.image_id)
    to_others = leased.where(leases.c.annotator != annotator) if annotator else leased
    left = select(images.c.image_id).where(images.c.open, ~to_others).limit(1)
    return connection.execute(left).first() is not None


def take(connection: Connection, image_id: str, annotator: str, *, now: float, seconds: float) -> Lease:
    """Lease one image, or renew its lease.

    Raises
    ------
    UnknownImageError
        No such image.
    LeasedError
        Somebody else has it.
    """
    row = connection.execute(
        select(images.c.patient).where(images.c.image_id == image_id, images.c.present).with_for_update()
    ).first()
    if row is None:
        raise UnknownImageError(f"no image {image_id!r} in this studies folder")
    held = of_image(connection, image_id, now=now)
    if held and held.annotator != annotator:
        raise LeasedError(
            f"{image_id}: {held.annotator or 'somebody'} works on it until {iso_time(held.expires_at)};"
            " take another one or ask them to release it"
        )
    return _take(connection, image_id, row.patient, annotator, now=now, seconds=seconds)


def release(connection: Connection, image_id: str) -> None:
    """End a lease, if there is one."""
    connection.execute(delete(leases).where(leases.c.image_id == image_id))


def of_image(connection: Connection, image_id: str, *, now: float) -> Lease | None:
    """Return an image's lease; None where it has ended."""
    row = connection.execute(
        select(leases).where(leases.c.image_id == image_id, leases.c.expires_at > now)
    ).first()
    return Lease(**row._mapping) if row else None


def running(connection: Connection, *, now: float) -> list[Lease]:
    """Return the leases of images that still have no final label, the oldest first."""
    is_open = exists().where(images.c.image_id == leases.c.image_id, images.c.open)
    rows = connection.execute(
        select(leases).where(leases.c.expires_at > now, is_open).order_by(leases.c.taken_at)
    )
    return [Lease(**row._mapping) for row in rows]


def opened(connection: Connection, image_id: str, annotator: str) -> int | None:
    """Return the version of the final label (0: none) that an annotator last opened, where known."""
    if not annotator:
        return None
    chosen = (openings.c.image_id == image_id, openings.c.annotator == annotator)
    return connection.execute(select(openings.c.number).where(*chosen)).scalar()


def note_opened(connection: Connection, image_id: str, annotator: str, number: int) -> None:
    """Record the version that an annotator has opened."""
    if not annotator:
        return
    chosen = (openings.c.image_id == image_id, openings.c.annotator == annotator)
    updated = connection.execute(update(openings).where(*chosen).values(number=number))
    if not updated.rowcount:
        connection.execute(openings.insert().values(image_id=image_id, annotator=annotator, number=number))


def _future(now: float) -> Select[Any]:
    return select(leases.c.image_id).where(leases.c.taken_at > now + _APART_S)


def _candidates(annotator: str, pivot: int | None) -> Iterator[Select[Any]]:
    """Return the queries to try in turn: own patients, patients without a lease, any."""
    leased = exists().where(leases.c.image_id == images.c.image_id)
    free = select(images.c.image_id, images.c.patient).where(images.c.open, ~leased)
    of_patient = leases.c.patient == images.c.patient
    own = exists().where(of_patient, leases.c.annotator == annotator)
    others = exists().where(of_patient, leases.c.annotator != annotator)
    mine = select(leases.c.patient).where(leases.c.annotator == annotator)
    yield free.where(images.c.patient.in_(mine)).order_by(images.c.patient_rank, images.c.rank)
    for query in (free.where(~others, ~own), free):
        if pivot is None:
            yield query.order_by(images.c.patient_rank, images.c.rank)
        else:
            shuffled = query.order_by(images.c.shuffle, images.c.rank)
            yield shuffled.where(images.c.shuffle >= pivot)
            yield shuffled.where(images.c.shuffle < pivot)


def _take(
    connection: Connection, image_id: str, patient: str, annotator: str, *, now: float, seconds: float
) -> Lease:
    lease = Lease(image_id, patient, annotator, now, now + seconds)
    release(connection, image_id)
    connection.execute(leases.insert().values(vars(lease)))
    current = versions.current(connection, image_id, FINAL)
    note_opened(connection, image_id, annotator, current.number if current else 0)
    return lease
