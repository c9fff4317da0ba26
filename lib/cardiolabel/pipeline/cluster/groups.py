"""Patients in groups, as workers get them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from cardiolabel.domain import Phase, Record

Group = list[list[Record]]

_GROUP_STILLS = 32
_CINE_STILLS = 16
"""What a cine or a stack weighs in a group, before anybody has read it."""


def groups(patients: Iterable[Sequence[Record]]) -> Iterator[Group]:
    """Whole patients, a few seconds of work together."""
    group: Group = []
    weight = 0
    for records in patients:
        group.append([replace(record, path=record.path.absolute()) for record in records])
        weight += sum(_weight(record) for record in records)
        if weight >= _GROUP_STILLS:
            yield group
            group, weight = [], 0
    if group:
        yield group


def _weight(record: Record) -> int:
    still = record.phase in (Phase.ED, Phase.ES) and not record.view.is_stack
    return 1 if still else _CINE_STILLS
