"""Notes of clients on images and labels: free, but bounded, and never the server's own fields."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from cardiolabel.records.layout import FINAL, ORIGINAL
from cardiolabel.records.names import check_name
from lib.security.roles import sender_name
from lib.server.errors import refused

"""Tag of predictions, as MONAI Label has it."""

IMAGE_FIELDS = frozenset(
    {
        *("id", "image", "name", "patient", "view", "phase", "ext", "path", "checksum", "PatientID"),
        *("lease", "why", "reason", "strategy", "view_note"),
    }
)
LABEL_FIELDS = frozenset(
    {
        *("id", "image", "label", "tag", "name", "ext", "path", "ts", "version", "origin", "author"),
        *(
            "saved_at",
            "model",
            "ef_before",
            "ef_after",
            "measurement",
            "current",
            "rolled_back_to",
            "reading",
        ),
    }
)
"""The server's own fields of an image and of a label, which are dropped from clients' notes."""

_NUL = json.dumps("\0")[1:-1]

MAX_BYTES, MAX_VALUES, MAX_DEPTH = 65_536, 2_000, 12
"""Limits of all notes on one image or label, as JSON."""


class Tag(StrEnum):
    """Tags that labels are written under; others of a folder are only read."""

    FINAL = FINAL
    ORIGINAL = ORIGINAL


def writable_tag(tag: str) -> str:
    """Return a tag unchanged if labels may be written under it.

    Raises
    ------
    BadNameError
        It is not even a name.
    HTTPException
        422: it is none of `Tag`.
    """
    if check_name("tag", tag) not in set(Tag):
        raise refused(422, "unknown_tag", f"tag {tag[:80]!r}: expected {' or '.join(Tag)}")
    return tag


def checked_notes(
    notes: Mapping[str, Any], owned: frozenset[str], *, beside: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the notes to store: without the server's own fields, and with the login's name.

    Parameters
    ----------
    notes : mapping
        What a client sent.
    owned : frozenset of str
        `IMAGE_FIELDS` or `LABEL_FIELDS`.
    beside : mapping, optional
        Notes that these are added to.

    Raises
    ------
    HTTPException
        422: together they are too long, too many, or nested too deep.
    """
    own_notes = {key: value for key, value in notes.items() if key not in owned}
    if name := sender_name():
        own_notes = {key: value for key, value in own_notes.items() if key != "client_id"} | {"user": name}
    _check({**(beside or {}), **own_notes})
    return own_notes


def _check(notes: Mapping[str, Any]) -> None:
    values = 0
    for depth in _depths(notes):
        values += 1
        if values > MAX_VALUES or depth > MAX_DEPTH:
            raise _too_much()
    text = json.dumps(notes)
    if len(text) > MAX_BYTES:
        raise _too_much()
    if _NUL in text:  # which not every database can store
        raise refused(422, "bad_params", "notes: expected text without NUL characters")


def _depths(value: Any) -> Iterator[int]:
    """Yield the depth of each value."""
    waiting = [(value, 0)]
    while waiting:
        inner, depth = waiting.pop()
        yield depth
        if depth <= MAX_DEPTH and isinstance(inner, Mapping | list):
            values = inner.values() if isinstance(inner, Mapping) else inner
            waiting.extend((value, depth + 1) for value in values)


def _too_much() -> Exception:
    return refused(
        422,
        "too_many_notes",
        f"notes: expected at most {MAX_VALUES} values in {MAX_BYTES // 1024} kB of JSON, nested at most"
        f" {MAX_DEPTH} deep; send less",
    )
