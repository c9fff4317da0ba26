"""Check that a studies folder's records, archive and labels agree."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cardiolabel.records.names import is_name
from cardiolabel.store import recovery, versions
from cardiolabel.store.database import Database
from cardiolabel.store.label_files import LabelFiles
from cardiolabel.store.versions import Version

_BUFFER = 2**20
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True)
class Inspection:
    """Number of versions checked, and the faults found."""

    versions: int
    problems: tuple[tuple[str, str], ...]


def inspect_store(
    database: Database,
    files: LabelFiles,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Inspection:
    """Compare every archived version with its record and its journal; nothing is changed.

    Raises
    ------
    StoreError
        The database cannot be read.
    """
    with database.snapshot() as connection:
        recorded = list(versions.everything(connection))
    problems: list[tuple[str, str]] = []
    for done, version in enumerate(recorded, start=1):
        reason = _problem(version, files)
        if reason:
            problems.append((_name(version), reason))
        progress(done, len(recorded))
    problems += _unrecorded(database, files)
    return Inspection(len(recorded), tuple(problems))


def _problem(version: Version, files: LabelFiles) -> str:
    if version.key is None:
        return ""  # it was in labels/ only, and may have been replaced by whoever wrote it
    path = files.archived(version.image_id, version.tag, version.key)
    if not path.is_file():
        return "its archived file is gone; put it back from a backup"
    if path.stat().st_size != version.size:
        return f"its archived file has {path.stat().st_size} bytes, expected {version.size}"
    if not _is_whole(path):
        return "its archived file is damaged; put it back from a backup"
    if not files.journal.has_lines(version.image_id, version.tag):
        return "it is not noted beside its archived file, so that no rebuild knows who saved it"
    return ""


def _is_whole(path: Path) -> bool:
    """Return whether a gzip file matches its checksum."""
    inflating = zlib.decompressobj(_GZIP)
    try:
        with path.open("rb") as file:
            while content := file.read(_BUFFER):
                while content:
                    inflating.decompress(content, _BUFFER)
                    content = inflating.unconsumed_tail
    except zlib.error:
        return False
    return inflating.eof


def _unrecorded(database: Database, files: LabelFiles) -> Iterator[tuple[str, str]]:
    for place in sorted(path for path in files.archive.glob("*/*") if path.is_dir()):
        image_id, tag = place.name, place.parent.name
        if is_name(image_id) and is_name(tag):
            with database.reading() as connection:
                lost, _ = recovery.unrecorded(connection, files, image_id, tag)
            for version in lost:
                yield _name(version), "archived and noted, but not recorded: a save that was cut off, or lost"


def _name(version: Version) -> str:
    return f"{version.tag}/{version.image_id}, version {version.number}"
