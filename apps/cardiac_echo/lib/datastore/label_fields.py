"""Fields of a label that clients send, checked, and that viewers are told."""

from __future__ import annotations

from typing import Any

from cardiolabel.domain import Record
from lib.server.errors import refused

__all__ = ["base_version", "segment_names", "with_label_names"]


def with_label_names(info: dict[str, Any], record: Record | None) -> dict[str, Any]:
    """Return a label's info with the names of its values, which 3D Slicer reads from
    ``params.label_names``.
    """
    if record is None:
        return info
    params = info.get("params")
    fields = params if isinstance(params, dict) else {}
    return {**info, "params": {**fields, "label_names": record.labels.as_dict()}}


def segment_names(label_info: object) -> dict[int, str]:
    """Return the segment names of Slicer's ``label_info``, a list of ``{"name", "idx"}``, if given."""
    if label_info is None:
        return {}
    names: dict[int, str] = {}
    for row in label_info if isinstance(label_info, list) else [label_info]:
        value, name = (row.get("idx"), row.get("name")) if isinstance(row, dict) else (None, None)
        number = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
        if not (number.isascii() and number.isdecimal() and isinstance(name, str)) or int(number) in names:
            message = f'label_info {row!r:.80}: expected {{"name": "...", "idx": 1}} with another idx each'
            raise refused(422, "bad_params", message)
        names[int(number)] = name
    return names


def base_version(value: object) -> int | None:
    """Return the version that the author had opened, 0 for none; None where the client does not say."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise refused(422, "bad_params", f"base_version {value!r}: expected a version's number, or 0 for none")
