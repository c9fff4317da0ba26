"""Opening the database of a studies folder: the right one, and no new one beside an archive."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import URL, Connection

from cardiolabel.errors import NotWritableError, StoreError
from cardiolabel.io.files import atomic
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.store.database import Database, fact, set_fact, sqlite_file, sqlite_url
from cardiolabel.store.failures import is_read_only, missing
from cardiolabel.store.label_files import LabelFiles
from cardiolabel.store.presence import Presence

"""The SQLite file in ``.cardiolabel``, where no other database is named."""

_FOLDER = "folder"


def database_url(folder: Path, url: str | None) -> str | URL:
    """Return the URL of a studies folder's database: the given one, or the SQLite file within the folder."""
    return url or sqlite_url(StudiesLayout(folder).database)


def begin(folder: Path, *, alone: bool = False) -> Presence:
    """Check that a server may work on a studies folder, and set its store up.

    Raises
    ------
    BusyError
        Others do, and ``alone`` is wanted.
    StoreError
        The folder is not writable.
    """
    home = StudiesLayout(folder).home
    try:
        home.mkdir(exist_ok=True)
        return Presence(home, alone=alone)
    except OSError as error:
        kind = NotWritableError if is_read_only(error) else StoreError
        reason = f"{home}: cannot be written ({error.strerror}); the studies folder must be writable"
        raise kind(reason) from error


def open_database(folder: Path, files: LabelFiles, url: str | None) -> Database:
    """Open the database of a studies folder, or create it where nothing was ever archived.

    Raises
    ------
    DamagedStoreError
        It is not there, is empty or is damaged, and there is an archive.
    StoreError
        It cannot be used, or belongs to another studies folder.
    """
    chosen = database_url(folder, url)
    file = sqlite_file(chosen)
    if file is not None and not file.exists() and files.has_archive():
        raise missing(f"{file}: no such file", files.archive)
    database = Database(chosen)
    try:
        with database.writing() as connection:
            database.alone(connection)  # or two servers that start at once would each make an id
            is_owned = fact(connection, _FOLDER) is not None
            if not is_owned and files.has_archive():
                raise missing(f"{database.file or 'the database'}: no records", files.archive)
            claim(connection, folder, database.file)
    except BaseException:
        database.close()
        raise
    return database


def claim(connection: Connection, folder: Path, file: Path | None) -> None:
    """Record the folder that a new database belongs to; two folders in one database would mix their patients.

    Parameters
    ----------
    connection : Connection
    folder : Path
        The studies folder.
    file : Path or None
        The SQLite file, where it is one; one within the folder is the folder's own.

    Raises
    ------
    StoreError
        It belongs to another studies folder.
    """
    path = StudiesLayout(folder).store_id
    owner = fact(connection, _FOLDER)
    own = _own_id(path)
    if own is None:
        is_own = file is not None and file.parent == path.parent
        own = owner if owner is not None and is_own else str(uuid4())
        with atomic(path) as draft:
            draft.write_text(f"{own}\n", encoding="ascii")
    if owner is None:
        set_fact(connection, _FOLDER, own)
    elif owner != own:
        raise StoreError(
            f"the database belongs to another studies folder (its id is {owner}, {path} says {own});"
            " give every folder a database of its own"
        )


def _own_id(path: Path) -> str | None:
    """Return a folder's own id; None where it has no readable one."""
    try:
        return str(UUID(path.read_text(encoding="ascii").strip()))
    except (FileNotFoundError, ValueError):
        return None
