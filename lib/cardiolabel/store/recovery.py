"""Recovery of missing records from the journals beside the archived versions."""

from __future__ import annotations

import logging
from dataclasses import replace

from sqlalchemy import Connection, select

from cardiolabel.records.names import is_name
from cardiolabel.store import images, versions
from cardiolabel.store.database import Database, fact, set_fact
from cardiolabel.store.journal import JournalContent
from cardiolabel.store.label_files import FileState, LabelFiles
from cardiolabel.store.tables import versions as versions_table
from cardiolabel.store.versions import Version

logger = logging.getLogger(__name__)

JOURNALS_FACT = "journals"
"""Fact that every archived version is noted in its label's journal."""

_BATCH = 200


def note_earlier_versions(database: Database, files: LabelFiles) -> None:
    """Write the journals of labels that were archived before journals existed; done once."""
    with database.reading() as connection:
        if fact(connection, JOURNALS_FACT):
            return
        columns = versions_table.c.image_id, versions_table.c.tag
        noted = versions_table.c.key.is_not(None) | (versions_table.c.author != "")
        labels = [tuple(row) for row in connection.execute(select(*columns).where(noted).distinct())]
    for start in range(0, len(labels), _BATCH):
        with database.writing() as connection:
            database.alone(connection)
            for image_id, tag in sorted(labels[start : start + _BATCH]):
                images.locked(connection, image_id)
                if is_name(image_id) and is_name(tag) and not files.journal.has_lines(image_id, tag):
                    files.journal.begin(connection, image_id, tag, synced=False)
    with database.writing() as connection:
        database.alone(connection)
        if not fact(connection, JOURNALS_FACT):
            set_fact(connection, JOURNALS_FACT, "complete")


def unrecorded(
    connection: Connection, files: LabelFiles, image_id: str, tag: str
) -> tuple[list[Version], JournalContent]:
    """Return a label's versions that are archived and noted but not recorded, and its journal.

    They remain after a database lost records, and after saves that were killed.
    """
    content = files.journal.read(image_id, tag)
    recorded = {version.key for version in versions.history(connection, image_id, tag)}
    noted = [*content.replaced, *(content.versions[number] for number in sorted(content.versions))]
    lost = [version for version in noted if version.key and version.key not in recorded]
    return [version for version in lost if files.archived(image_id, tag, str(version.key)).is_file()], content


def restore_published(
    connection: Connection, files: LabelFiles, image_id: str, tag: str, state: FileState
) -> bool:
    """Record the version whose file is the current label, and those before it; returns whether there was one.

    Call it where no recorded version has that file.
    """
    if not files.journal.has_lines(image_id, tag):
        return False
    lost, content = unrecorded(connection, files, image_id, tag)
    places = [at for at, version in enumerate(lost) if (version.modified_ns, version.size) == state]
    if not places:
        return False
    recorded = {version.number for version in versions.history(connection, image_id, tag)}
    for version in lost[: places[0] + 1]:
        number = version.number
        if number in recorded:
            number = versions.next_number(connection, image_id, tag)
        recorded.add(number)
        current = (version.modified_ns, version.size) == state
        versions.add(connection, replace(version, number=number), make_current=current)
        if number == version.number and number in content.studies:
            versions.set_study(connection, version, content.studies[number])
    logger.warning("the database had lost %d versions of a label; they are recorded again", places[0] + 1)
    logger.debug("recorded again: versions of %s, label %s", image_id, tag)
    return True
