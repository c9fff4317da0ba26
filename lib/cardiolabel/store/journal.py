"""Journals of label versions, written beside their archived files.

``.cardiolabel/versions/<tag>/<image_id>/journal.jsonl`` has a line of JSON for every version and every change
of one, in order, so that the records can be rebuilt where the database is lost. Lines are only ever added. A
half-written line of a killed process spoils no other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from cardiolabel.store import versions
from cardiolabel.store.versions import Origin, Version

NAME = "journal.jsonl"
_wait_for = getattr(os, "fdatasync", os.fsync)  # the length too, but no times; macOS has none
_CHANGEABLE = frozenset({"key", "info", "ef_after"})


@dataclass
class JournalContent:
    """Content of a label's journal.

    Attributes
    ----------
    versions : dict of int to Version
        By number. Where a number was given twice, as after an old copy of the database was put back, the
        version that was recorded last.
    replaced : list of Version
        The earlier ones of those.
    current : int or None
        Number of the version that is, or was last, the current one.
    is_present : bool
        Whether the label was there.
    studies : dict of int to dict
        What was measured with a version, by number.
    damaged_lines : int
        Lines that cannot be understood.
    """

    versions: dict[int, Version] = field(default_factory=dict)
    replaced: list[Version] = field(default_factory=list)
    current: int | None = None
    is_present: bool = False
    studies: dict[int, dict[str, Any]] = field(default_factory=dict)
    damaged_lines: int = 0


class Journal:
    """The journals of one studies folder.

    Parameters
    ----------
    folder : Path
        Where versions are archived.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, image_id: str, tag: str) -> Path:
        """Return the journal file of a label."""
        return self._folder / tag / image_id / NAME

    def reserve(self, image_id: str, tag: str) -> None:
        """Create a label's empty journal, so that its name is on the disk with the next file beside it."""
        self.path(image_id, tag).touch()

    def has_lines(self, image_id: str, tag: str) -> bool:
        """Return whether a label's journal has any line."""
        try:
            return self.path(image_id, tag).stat().st_size > 0
        except (FileNotFoundError, NotADirectoryError):
            return False

    def note_version(self, connection: Connection, version: Version, *, current: bool, synced: bool) -> None:
        """Note a recorded version, with the earlier ones if none was noted.

        A version whose only file is the one in ``labels/`` is noted with the next one.

        Parameters
        ----------
        current : bool
            Whether it became the label's current version.
        synced : bool
            Wait until it is on the disk.

        Raises
        ------
        OSError
            The disk is full or the folder not writable.
        """
        is_noted = version.key or version.author
        if (version.number == 1 and is_noted) or self.has_lines(version.image_id, version.tag):
            self._append(version, [_of_version(version, current=current)], synced=synced)
        elif is_noted:
            self.begin(connection, version.image_id, version.tag, synced=synced)

    def begin(self, connection: Connection, image_id: str, tag: str, *, synced: bool) -> None:
        """Note all recorded versions of a label; errors as `note_version`."""
        label = versions.last_current(connection, image_id, tag)
        current, is_present = (label[0].number, label[1]) if label else (None, False)
        history = versions.history(connection, image_id, tag)
        if not history:
            return
        lines = [_of_version(version, current=version.number == current) for version in history]
        for version in history:
            if study := versions.study(connection, version):
                lines.append({"number": version.number, "study": study})
        if current is not None and (not is_present or current != history[-1].number):
            lines.append({"number": current, "present": is_present})
        self._append(history[-1], lines, synced=synced)

    def note_values(
        self, version: Version, values: Mapping[str, Any], *, study: dict[str, Any] | None = None
    ) -> None:
        """Note changed columns and the measurement of a version that was noted before."""
        if self.has_lines(version.image_id, version.tag):
            line = {"number": version.number, "values": dict(values)}
            self._append(version, [line if study is None else {**line, "study": study}], synced=False)

    def note_present(self, version: Version, *, present: bool, synced: bool) -> None:
        """Note that a current version's label disappeared or reappeared."""
        if self.has_lines(version.image_id, version.tag):
            self._append(version, [{"number": version.number, "present": present}], synced=synced)

    def read(self, image_id: str, tag: str) -> JournalContent:
        """Return the content of a label's journal; empty where it has none.

        Raises
        ------
        OSError
            It is there and cannot be read.
        """
        content = JournalContent()
        try:
            text = self.path(image_id, tag).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return content
        for line in filter(None, text.split(b"\n")):
            try:
                _take_in(content, json.loads(line), image_id, tag)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                content.damaged_lines += 1
        return content

    def _append(self, version: Version, lines: list[dict[str, Any]], *, synced: bool) -> None:
        path = self.path(version.image_id, version.tag)
        path.parent.mkdir(parents=True, exist_ok=True)
        # A line break before each line too: the last one may be half of one.
        text = "".join(f"\n{json.dumps(line, separators=(',', ':'))}\n" for line in lines)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            remaining = memoryview(text.encode("utf-8"))
            while remaining:
                remaining = remaining[os.write(handle, remaining) :]
            if synced:
                _wait_for(handle)
        finally:
            os.close(handle)


def _of_version(version: Version, *, current: bool) -> dict[str, Any]:
    columns = {**asdict(version), "origin": str(version.origin)}
    del columns["image_id"], columns["tag"]  # the folders say them
    return {"version": columns, "current": current}


def _take_in(content: JournalContent, line: dict[str, Any], image_id: str, tag: str) -> None:
    if "version" in line:
        columns = line["version"]
        origin = Origin(columns["origin"])
        version = Version(**{**columns, "image_id": image_id, "tag": tag, "origin": origin})
        number = _number(version.number)
        _check_types(version)
        earlier = content.versions.get(number)
        if earlier is not None and earlier.key != version.key:
            content.replaced.append(earlier)
        content.versions[number] = version
        if line["current"]:
            content.current, content.is_present = number, True
        return
    number = _number(line["number"])
    if "present" in line:
        content.current, content.is_present = number, bool(line["present"])
    if "values" in line and number in content.versions:
        values = {name: value for name, value in line["values"].items() if name in _CHANGEABLE}
        version = Version(**{**vars(content.versions[number]), **values})
        _check_types(version)
        content.versions[number] = version
    if isinstance(line.get("study"), dict):
        content.studies[number] = line["study"]


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**31:
        raise ValueError(value)
    return value


def _fits(number: object, bits: int) -> bool:
    return isinstance(number, int) and abs(number) < 2 ** (bits - 1)


def _check_types(version: Version) -> None:
    """Refuse values that the database or the file's path cannot hold."""
    if not (
        isinstance(version.author, str)
        and isinstance(version.saved_at, int | float)
        and all(_fits(number, 64) for number in (version.modified_ns, version.size))
        and _fits(version.sequence, 32)
        and isinstance(version.info, dict)
        and (version.base is None or _fits(version.base, 32))
        and (version.key is None or (isinstance(version.key, str) and version.key.isalnum()))
    ):
        raise ValueError(version.number)
