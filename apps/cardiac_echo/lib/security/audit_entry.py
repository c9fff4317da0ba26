"""What a request turns out to be, noted while it is answered, for the audit log."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

_LONGEST = 80


@dataclass
class AuditEntry:
    """Notes on one request.

    ``login`` is who a valid token names, whatever their roles; ``claimed`` what a client calls its user,
    which nobody checked. ``event`` is what was done, where the route alone does not tell, and ``image`` what
    it was done to.
    """

    login: str = ""
    claimed: str = ""
    event: str = ""
    image: str = ""


_entry: ContextVar[AuditEntry | None] = ContextVar("audit_entry", default=None)


def begin_entry() -> AuditEntry:
    """Return the notes on the request that begins in this task."""
    entry = AuditEntry()
    _entry.set(entry)
    return entry


def note_event(event: str, image: str = "") -> None:
    """Note what was done, where the route alone does not tell; nothing outside of a request."""
    if entry := _entry.get():
        entry.event, entry.image = event, image or entry.image


def note_login(name: str) -> None:
    """Note who the request's token names."""
    if entry := _entry.get():
        entry.login = name


def note_claim(value: object) -> None:
    """Note the ``client_id`` of a request's parameters, if there is one."""
    entry = _entry.get()
    client_id = value.get("client_id") if isinstance(value, dict) else None
    if entry and isinstance(client_id, str) and client_id:
        entry.claimed = client_id[:_LONGEST]
