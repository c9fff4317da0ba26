"""Data of one request for the audit log, collected while it is answered."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

_LONGEST = 80


@dataclass
class AuditEntry:
    """Data of one request.

    ``login`` is the user of a valid token, whatever their roles; ``claimed`` the user that a client states,
    unchecked. ``event`` is the action, where the route alone does not tell, and ``image`` its subject.
    """

    login: str = ""
    claimed: str = ""
    event: str = ""
    image: str = ""


_entry: ContextVar[AuditEntry | None] = ContextVar("audit_entry", default=None)


def begin_entry() -> AuditEntry:
    """Return the entry of the request that begins in this task."""
    entry = AuditEntry()
    _entry.set(entry)
    return entry


def note_event(event: str, image: str = "") -> None:
    """Record the action, where the route alone does not tell; nothing outside of a request."""
    if entry := _entry.get():
        entry.event, entry.image = event, image or entry.image


def note_login(name: str) -> None:
    """Record the user of the request's token."""
    if entry := _entry.get():
        entry.login = name


def note_claim(value: object) -> None:
    """Record the ``client_id`` of a request's parameters, if any."""
    entry = _entry.get()
    client_id = value.get("client_id") if isinstance(value, dict) else None
    if entry and isinstance(client_id, str) and client_id:
        entry.claimed = client_id[:_LONGEST]
