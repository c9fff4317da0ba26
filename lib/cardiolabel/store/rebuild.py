"""Rebuild of a studies folder's records from its archived versions and journals."""

from __future__ import annotations

import filecmp
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import Connection, func, select

from cardiolabel.domain import Record
from cardiolabel.errors import StoreError
from cardiolabel.records.layout import SUFFIX, id_of
from cardiolabel.records.names import is_name
from cardiolabel.store import images, versions
from cardiolabel.store.database import Database, set_fact, sqlite_file
from cardiolabel.store.journal import NAME as JOURNAL_NAME
from cardiolabel.store.journal import JournalContent
from cardiolabel.store.label_files import LabelFiles
from cardiolabel.store.opening import begin, claim, database_url
from cardiolabel.store.recovery import JOURNALS_FACT
from cardiolabel.store.tables import versions as versions_table
from cardiolabel.store.versions import Origin, Version

_COMPANIONS = ("", "-wal", "-shm")
"""Endings of the names of SQLite's files."""


@dataclass
class Rebuilt:
    """Result of a rebuild.

    Attributes
    ----------
    labels, versions : int
        How many were recorded.
    moved_to : Path or None
        Where the former SQLite file is now.
    problems : list of tuple of str
        An archived file or journal, within the studies folder, and what is not known of it.
    """

    labels: int = 0
    versions: int = 0
    moved_to: Path | None = None
    problems: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class _Label:
    """Versions of a label, and the current one; None where there is none."""

    content: JournalContent
    history: list[Version]
    current: Version | None
    is_present: bool


def rebuild(folder: Path, records: Mapping[str, Record], *, url: str | None = None) -> Rebuilt:
    """Record the archived versions of a studies folder in a new database; the archive is not changed.

    An existing SQLite file is moved beside the new one, never removed. Authors, times, numbers, models and
    measurements come from the journals. A version without a journal gets its file's time and no author.

    Parameters
    ----------
    folder : Path
        The studies folder.
    records : mapping of str to Record
        Its images by id.
    url : str, optional
        Database; by default the SQLite file within the folder.

    Raises
    ------
    BusyError
        A server or another command works on the folder.
    StoreError
        The database cannot be used, or has versions already and is no SQLite file.
    """
    files = LabelFiles(folder)
    rebuilt = Rebuilt()
    with begin(folder, alone=True):
        file = sqlite_file(database_url(folder, url))
        if file is not None:
            rebuilt.moved_to = _moved_aside(file)
        database = Database(database_url(folder, url))
        try:
            _record_all(database, files, folder, records, rebuilt)
        finally:
            database.close()
    return rebuilt


def _moved_aside(file: Path) -> Path | None:
    """Rename a SQLite file and its log, so that a new one can be made; None where there is none."""
    if not any(file.with_name(file.name + end).exists() for end in _COMPANIONS):
        return None
    number = 1
    while file.with_name(f"{file.name}.before-rebuild-{number}").exists():
        number += 1
    aside = file.with_name(f"{file.name}.before-rebuild-{number}")
    aside.touch(exist_ok=False)
    for end in _COMPANIONS:
        with suppress(FileNotFoundError):
            file.with_name(file.name + end).replace(aside.with_name(aside.name + end))
    return aside


def _record_all(
    database: Database, files: LabelFiles, folder: Path, records: Mapping[str, Record], rebuilt: Rebuilt
) -> None:
    with database.writing() as connection:
        database.alone(connection)
        if connection.execute(select(func.count()).select_from(versions_table)).scalar():
            raise StoreError(
                "the database has versions of labels already; name an empty one, or remove its tables first"
            )
        claim(connection, folder, database.file)
        images.sync(connection, list(records.values()), writing=True)
        for labels in _by_image(_labels(files, folder, rebuilt)).values():
            for label in _in_sequence(labels):
                _record(connection, files, label)
                rebuilt.labels += 1
                rebuilt.versions += len(label.history)
        set_fact(connection, JOURNALS_FACT, "complete")


def _record(connection: Connection, files: LabelFiles, label: _Label) -> None:
    for version in label.history:
        versions.insert(connection, version)
        if study := label.content.studies.get(version.number):
            versions.set_study(connection, version, study)
    image_id, tag = label.history[0].image_id, label.history[0].tag
    if label.current:
        versions.set_current(connection, label.current)
        versions.set_present(connection, image_id, tag, present=label.is_present)
    if not files.journal.has_lines(image_id, tag):
        files.journal.begin(connection, image_id, tag, synced=False)


def _in_sequence(labels: list[_Label]) -> list[_Label]:
    """Return an image's labels with their versions renumbered in sequence, those of a known sequence
    first.
    """
    order = sorted(
        (version for label in labels for version in label.history),
        key=lambda version: (not version.sequence, version.sequence, version.saved_at, version.number),
    )
    places = {(version.tag, version.number): at for at, version in enumerate(order, start=1)}
    return [
        replace(
            label,
            history=[
                replace(version, sequence=places[version.tag, version.number]) for version in label.history
            ],
        )
        for label in labels
    ]


def _by_image(labels: Iterable[_Label]) -> dict[str, list[_Label]]:
    grouped: defaultdict[str, list[_Label]] = defaultdict(list)
    for label in labels:
        grouped[label.history[0].image_id].append(label)
    return grouped


def _labels(files: LabelFiles, folder: Path, rebuilt: Rebuilt) -> Iterable[_Label]:
    for place in sorted(path for path in files.archive.glob("*/*") if path.is_dir()):
        tag, image_id = place.parent.name, place.name
        if not (is_name(tag) and is_name(image_id)):
            rebuilt.problems.append((_shown(place, folder), "no name of a label; left as it is"))
            continue
        label = _label(files, image_id, tag, folder, rebuilt)
        if label.history:
            yield label


def _label(files: LabelFiles, image_id: str, tag: str, folder: Path, rebuilt: Rebuilt) -> _Label:
    content = files.journal.read(image_id, tag)
    journal = files.journal.path(image_id, tag)
    if content.damaged_lines:
        reason = f"{content.damaged_lines} lines cannot be understood and are left out"
        rebuilt.problems.append((_shown(journal, folder), reason))
    archived = {id_of(path): path for path in sorted(journal.parent.glob(f"*{SUFFIX}"))}
    history = _noted(content, archived, rebuilt)
    noted = {version.key for version in history}
    for key, path in sorted(archived.items(), key=lambda item: item[1].stat().st_mtime_ns):
        if key in noted or not key.isalnum():
            continue
        if content.versions and not content.damaged_lines:
            reason = "not recorded, as by a save that was interrupted; left as it is"
            rebuilt.problems.append((_shown(path, folder), reason))
            continue
        reason = f"no {JOURNAL_NAME} tells who saved it; its time is the file's"
        rebuilt.problems.append((_shown(path, folder), reason))
        history.append(_unnoted(path, key, image_id, tag, number=_next_number(history)))
    return _with_current(files, _Label(content, history, None, is_present=False), image_id, tag)


def _noted(content: JournalContent, archived: Mapping[str, Path], rebuilt: Rebuilt) -> list[Version]:
    """Return the versions of a journal; versions whose number was reused after a restore come last."""
    history = [content.versions[number] for number in sorted(content.versions)]
    for version in history:
        if version.key and version.key not in archived:
            where = f"{version.tag}/{version.image_id}, version {version.number}"
            rebuilt.problems.append((where, "its archived file is gone"))
    for version in content.replaced:
        if version.key and version.key in archived:
            history.append(replace(version, number=_next_number(history), sequence=0))
    return history


def _unnoted(path: Path, key: str, image_id: str, tag: str, *, number: int) -> Version:
    status = path.stat()
    return Version(
        image_id,
        tag,
        number,
        Origin.SAVED,
        author="",
        saved_at=status.st_mtime,
        modified_ns=status.st_mtime_ns,
        size=status.st_size,
        key=key,
    )


def _next_number(history: list[Version]) -> int:
    return max((version.number for version in history), default=0) + 1


def _with_current(files: LabelFiles, label: _Label, image_id: str, tag: str) -> _Label:
    """Mark the current version: the noted one, else the one whose file is current, else the last one."""
    published = files.published(image_id, tag)
    state = files.state(image_id, tag)
    by_number = {version.number: version for version in label.history}
    current = by_number.get(label.content.current or 0)
    if current is not None and label.content.is_present and state is None:
        # Its file may be staged, of a process that was killed; else something else removed the label.
        return replace(label, current=current, is_present=True)
    if state is not None:
        candidates = [*([current] if current else []), *reversed(label.history)]
        for version in candidates:
            if _is_file_of(files, version, published, state):
                matching = replace(version, modified_ns=state[0], size=state[1])
                history = [matching if entry is version else entry for entry in label.history]
                return replace(label, history=history, current=matching, is_present=True)
    return replace(label, current=current or (label.history[-1] if label.history else None))


def _is_file_of(files: LabelFiles, version: Version, published: Path, state: tuple[int, int]) -> bool:
    if (version.modified_ns, version.size) == state:
        return True
    if not version.key or version.size != state[1]:
        return False
    archived = files.archived(version.image_id, version.tag, version.key)
    return archived.is_file() and filecmp.cmp(archived, published, shallow=False)


def _shown(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
