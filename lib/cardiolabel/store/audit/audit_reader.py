"""Reading the audit log, the latest event first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

__all__ = ["read_events"]


def read_events(path: Path, *, equal_to: Mapping[str, str] | None = None, limit: int) -> list[dict[str, Any]]:
    """Return the latest events of an audit log and of its full files.

    Parameters
    ----------
    path : Path
        The log that is written now.
    equal_to : mapping, optional
        Values that fields must have; empty ones match all.
    limit : int
        How many to return at most.
    """
    needed = {name: value for name, value in (equal_to or {}).items() if value}
    matching = (
        event for event in _events(path) if all(event.get(key) == value for key, value in needed.items())
    )
    return list(islice(matching, limit))


def _events(path: Path) -> Iterator[dict[str, Any]]:
    number = 0
    file = path
    while file.is_file():
        for line in reversed(file.read_bytes().splitlines()):
            try:
                event = json.loads(line)
            except ValueError:
                continue  # the end of a line that a full disk cut off
            if isinstance(event, dict):
                yield event
        number += 1
        file = path.with_name(f"{path.name}.{number}")
