"""Backup of a studies folder in one file: its content, and its records as of one moment.

The file is a tar archive: ``records.jsonl`` first, then ``files/<path within the folder>``, then
``index.json`` with the size and SHA-256 of each. Versions are archived before they are recorded and never
change, so that a server may go on saving meanwhile.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from sqlalchemy import Connection

from cardiolabel.errors import DatasetError
from cardiolabel.io.files import atomic, sync_folder
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.store import dump, versions
from cardiolabel.store.database import Database
from cardiolabel.store.label_files import LabelFiles
from cardiolabel.store.migrations import SCHEMA
from cardiolabel.store.opening import database_url

_KIND = "cardiolabel-backup-1"
_RECORDS, _FILES, _INDEX = "records.jsonl", "files/", "index.json"
_LEFT_OUT = ("drafts", "lock", "store.sqlite")
"""Beginnings of names in ``.cardiolabel`` that are not backed up."""
_TEMPORARY = (".partial-", ".staged-", ".damaged-")
_BUFFER = 2**20


@dataclass(frozen=True)
class Content:
    """Number of files and versions in a backup."""

    files: int
    versions: int
    bytes: int


def back_up(
    folder: Path,
    target: Path,
    database: Database,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Content:
    """Write a studies folder and its records into one file, whole or not at all.

    Parameters
    ----------
    folder : Path
        The studies folder; servers may work on it.
    target : Path
        File to write, outside the folder.
    database : Database
        The folder's records.
    progress : callable
        Told files written and in all.

    Raises
    ------
    DatasetError
        ``target`` is there already or within the folder, or an archived version's file is gone.
    StoreError
        The records cannot be read.
    """
    if target.exists():
        raise DatasetError(f"{target}: is there already; name a new file")
    if target.resolve().is_relative_to(folder.resolve()):
        raise DatasetError(f"{target}: lies within {folder}; a backup belongs elsewhere")
    files = LabelFiles(folder)
    with atomic(target) as draft, tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as archive:
        with tempfile.TemporaryFile(dir=target.parent) as spool, database.snapshot() as connection:
            for line in dump.lines(connection):
                spool.write(line.encode("ascii"))
            recorded = _files_of_versions(connection, files, folder)
            number = versions.total(connection)
            index = {_RECORDS: _add(archive, _RECORDS, spool)}
        paths = _paths(folder)
        for name in sorted(recorded.keys() - paths.keys()):
            paths[name] = recorded[name]
        for done, (name, path) in enumerate(sorted(paths.items()), start=1):
            source = recorded.get(name, path)
            try:
                with source.open("rb") as file:
                    index[_FILES + name] = _add(archive, _FILES + name, file)
            except FileNotFoundError:
                if name in recorded:
                    raise DatasetError(
                        f"{source}: an archived version is gone; see: cardiolabel store check {folder}"
                    ) from None
                continue  # it was removed meanwhile
            progress(done, len(paths))
        header = json.dumps({"kind": _KIND, "schema": SCHEMA, "versions": number, "entries": index})
        _add(archive, _INDEX, io.BytesIO(header.encode("ascii")))
    return Content(len(index) - 1, number, target.stat().st_size)


def restore(
    source: Path,
    dest: Path,
    *,
    url: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Content:
    """Restore a studies folder from a backup, whole or not at all.

    Parameters
    ----------
    source : Path
        A file of `back_up`.
    dest : Path
        The folder to make; it may be there if it is empty.
    url : str, optional
        An empty database for the records; by default a SQLite file within the folder.
    progress : callable
        Told bytes read and in all.

    Raises
    ------
    DatasetError
        The file is no backup or is damaged, or ``dest`` holds something.
    StoreError
        The database has records already, or cannot be used.
    """
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise DatasetError(f"{dest}: holds something already; name a new or an empty folder")
    dest.parent.mkdir(parents=True, exist_ok=True)
    draft = dest.with_name(f".partial-{secrets.token_hex(8)}")
    draft.mkdir()
    records = draft.with_name(f"{draft.name}-{_RECORDS}")
    try:
        try:
            content = _extract(source, draft, records, progress)
        except (tarfile.TarError, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
            raise DatasetError(
                f"{source}: no whole backup of a studies folder ({error}); take another one"
            ) from error
        StudiesLayout(draft).home.mkdir(exist_ok=True)
        _load(Database(database_url(draft, url)), records, draft)
        with suppress(FileNotFoundError):
            dest.rmdir()
        draft.replace(dest)
        sync_folder(dest.parent)
        return content
    finally:
        records.unlink(missing_ok=True)
        shutil.rmtree(draft, ignore_errors=True)


def _add(archive: tarfile.TarFile, name: str, file: IO[bytes]) -> dict[str, Any]:
    """Add a file up to its present length; returns size and checksum."""
    entry = tarfile.TarInfo(name)
    entry.size = file.seek(0, os.SEEK_END)
    entry.mode = 0o644
    with suppress(OSError, io.UnsupportedOperation):
        entry.mtime = int(os.fstat(file.fileno()).st_mtime)
    file.seek(0)
    reading = _Hashing(file)
    try:
        archive.addfile(entry, reading)
    except OSError as error:
        if error.args and error.args[0] == "unexpected end of data":
            raise DatasetError(f"{name}: became shorter while it was read; try again") from error
        raise
    return {"bytes": entry.size, "sha256": reading.hexdigest()}


class _Hashing(io.RawIOBase):
    """Reads a file and computes the SHA-256 of the bytes read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._sha256 = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self._sha256.update(content)
        return content

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


def _paths(folder: Path) -> dict[str, Path]:
    """Return the folder's files by their paths within it, following links."""
    paths: dict[str, Path] = {}
    visited: set[Path] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        here = Path(place)
        if here.resolve() in visited:  # a link to a folder above it
            folders.clear()
            continue
        visited.add(here.resolve())
        is_home = here == StudiesLayout(folder).home
        left_out = _LEFT_OUT if is_home else ()
        folders[:] = [name for name in folders if not name.startswith((*_TEMPORARY, *left_out))]
        for name in names:
            if not name.startswith((*_TEMPORARY, *left_out)) and (here / name).is_file():
                paths[(here / name).relative_to(folder).as_posix()] = here / name
    return paths


def _files_of_versions(connection: Connection, files: LabelFiles, folder: Path) -> dict[str, Path]:
    """Return the content of each recorded version and current label, by its path."""
    version_files: dict[str, Path] = {}
    for version in versions.everything(connection):
        if version.key:
            path = files.archived(version.image_id, version.tag, version.key)
            version_files[path.relative_to(folder).as_posix()] = path
    for version in versions.all_current(connection):
        if version.key:  # the published file may be of a version that was saved since
            name = files.published(version.image_id, version.tag).relative_to(folder).as_posix()
            version_files[name] = files.archived(version.image_id, version.tag, version.key)
    return version_files


def _extract(source: Path, draft: Path, records: Path, progress: Callable[[int, int], None]) -> Content:
    seen: dict[str, dict[str, Any]] = {}
    index: dict[str, Any] = {}
    total = source.stat().st_size
    with tarfile.open(source, "r:") as archive:
        for entry in archive:
            file = archive.extractfile(entry) if entry.isreg() else None
            if file is None:
                raise ValueError(f"{entry.name!r} is no file")
            if entry.name == _INDEX:
                index = json.loads(file.read())
                continue
            target = records if entry.name == _RECORDS else draft / _within(entry.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            seen[entry.name] = _write(file, target, entry.mtime)
            progress(archive.offset, total)
    if index.get("kind") != _KIND or index.get("schema") != SCHEMA:
        raise ValueError("its index is missing, or of another version")
    if index["entries"] != seen or _RECORDS not in seen:
        wrong = sorted(
            name for name in index["entries"].keys() | seen if index["entries"].get(name) != seen.get(name)
        )
        raise ValueError(f"{len(wrong)} files are not as they were written, the first is {wrong[0]}")
    progress(total, total)
    return Content(len(seen) - 1, int(index["versions"]), source.stat().st_size)


def _within(name: str) -> Path:
    path = PurePosixPath(name.removeprefix(_FILES))
    if not name.startswith(_FILES) or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise ValueError(f"{name!r} does not belong into a studies folder")
    return Path(path)


def _write(file: IO[bytes], target: Path, modified_s: float) -> dict[str, Any]:
    reading = _Hashing(file)
    with target.open("xb") as written:
        while content := reading.read(_BUFFER):
            written.write(content)
        written.flush()
        os.fsync(written.fileno())
        size = written.tell()
    os.utime(target, (modified_s, modified_s))
    return {"bytes": size, "sha256": reading.hexdigest()}


def _load(database: Database, records: Path, draft: Path) -> None:
    """Fill a database, and restore the modification times by which it knows label files."""
    try:
        with database.writing() as connection, records.open(encoding="ascii") as lines:
            database.alone(connection)
            dump.load(connection, lines)
            files = LabelFiles(draft)
            for version in versions.all_current(connection):
                path = files.published(version.image_id, version.tag)
                if path.is_file() and path.stat().st_size == version.size:
                    os.utime(path, ns=(version.modified_ns, version.modified_ns))
    finally:
        database.close()
