"""Groups of patients for workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from cardiolabel.domain import Phase, Record

Group = list[list[Record]]

_GROUP_STILLS = 32
_CINE_STILLS = 16
"""Weight of a cine or a stack in a group, in stills, before it is read."""


def groups(patients: Iterable[Sequence[Record]]) -> Iterator[Group]:
    """Yield groups of whole patients, each a few seconds of work."""
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
