"""MONAI Label's ``datastore_v2.json``: imported once, and exported on request."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cardiolabel.domain import Record
from cardiolabel.errors import StoreError
from cardiolabel.io.files import atomic
from cardiolabel.records.file_names import normalized
from cardiolabel.records.layout import LABELS, SUFFIX
from cardiolabel.records.names import is_name
from cardiolabel.store import images, versions
from cardiolabel.store.database import Database, fact, set_fact
from cardiolabel.store.label_files import LabelFiles
from cardiolabel.store.versions import LAST_S, Origin, Version, iso_time
from cardiolabel.system.readable_text import readable_text

NAME = "datastore_v2.json"

_IMPORTED = "imported datastore_v2.json"
_LABELS_IMPORTED = "imported labels of datastore_v2.json"
_OURS = frozenset(
    {"name", "ts", "version", "origin", "author", "saved_at", "model", "ef_before", "ef_after", "measurement"}
)

logger = logging.getLogger(__name__)


def image_info(record: Record) -> dict[str, Any]:
    """Return an image's entry without the notes of clients."""
    return {
        "name": readable_text(record.path.name),
        "patient": record.patient,
        "view": str(record.view),
        "phase": str(record.phase),
    }


def label_info(version: Version) -> dict[str, Any]:
    """Return a label's entry: the notes of clients, then the store's own data of the version."""
    return {
        **version.info,
        "name": f"{version.image_id}{SUFFIX}",
        "ts": int(version.saved_at),
        "version": version.number,
        "origin": str(version.origin),
        "author": version.author,
        "saved_at": iso_time(version.saved_at),
        "model": version.model,
        "ef_before": version.ef_before,
        "ef_after": version.ef_after,
    }


def document(
    name: str, records: Iterable[Record], labels: Iterable[Version], notes: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return the whole datastore in the format of MONAI Label's local datastore.

    Parameters
    ----------
    name : str
    records : iterable of Record
        The folder's images.
    labels : iterable of Version
        The current versions.
    notes : mapping
        Notes of clients by image id.
    """
    objects: dict[str, Any] = {}
    for record in records:
        extension = SUFFIX if record.path.name.lower().endswith(SUFFIX) else record.path.suffix
        info = {**notes.get(record.image_id, {}), **image_info(record)}
        objects[record.image_id] = {"image": {"ext": extension, "info": info}, "labels": {}}
    for version in labels:
        if version.image_id in objects:
            entry = {"ext": SUFFIX, "info": label_info(version)}
            objects[version.image_id]["labels"][version.tag] = entry
    return {
        "name": name,
        "description": "Written by cardiolabel",
        "images_dir": ".",
        "labels_dir": LABELS,
        "objects": objects,
    }


def write(path: Path, written: Mapping[str, Any]) -> tuple[int, int]:
    """Write a `document`, whole or not at all; returns the numbers of images and labels."""
    with atomic(path) as draft:
        draft.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    objects = written["objects"].values()
    return len(objects), sum(len(entry["labels"]) for entry in objects)


def import_once(folder: Path, database: Database, files: LabelFiles, names: Mapping[str, str]) -> None:
    """Import notes, authors and times from a ``datastore_v2.json``, the first time that it is seen.

    Call it once labels of other names and formats are where `LabelFiles` looks for them.

    Parameters
    ----------
    names : mapping of str to str
        Image ids by the names that they may have in the file.

    Raises
    ------
    StoreError
        The file is there and cannot be understood.
    """
    path = folder / NAME
    if not path.is_file():
        return
    with database.reading() as connection:
        if fact(connection, _LABELS_IMPORTED):
            return
    entries = _entries(path)
    labels = [
        (names.get(normalized(name), name), str(tag), _info(label))
        for name, _, tags in entries
        for tag, label in tags.items()
    ]
    left_out = 0
    with database.writing() as connection:
        database.alone(connection)
        if fact(connection, _LABELS_IMPORTED):
            return
        was_imported = fact(connection, _IMPORTED) is not None  # by a version that took fewer labels over
        ids = {name: names.get(normalized(name), name) for name, *_ in entries}
        present = {
            image_id
            for image_id in sorted(filter(is_name, ids.values()))
            if images.locked(connection, image_id)
        }
        for name, notes, _ in entries:
            if ids[name] in present and not was_imported:
                own_notes = {key: value for key, value in notes.items() if key not in _OURS}
                images.update_info(connection, ids[name], own_notes)
        for image_id, tag, notes in labels:
            state = files.state(image_id, tag) if image_id in present and is_name(tag) else None
            if state is None:
                left_out += 1
                continue
            if was_imported and versions.last_current(connection, image_id, tag):
                continue
            if versions.has_state(connection, image_id, tag, state):
                continue  # a version of this store, of which it knows more
            version = Version(
                image_id,
                tag,
                versions.next_number(connection, image_id, tag),
                Origin.IMPORTED,
                author=str(notes.get("author") or notes.get("client_id") or ""),
                saved_at=_time(notes.get("ts"), otherwise=state[0] / 1e9),
                modified_ns=state[0],
                size=state[1],
                info={key: value for key, value in notes.items() if key not in _OURS},
            )
            version = versions.add(connection, version, make_current=True)
            files.journal.note_version(connection, version, current=True, synced=False)
        for name in (_LABELS_IMPORTED,) if was_imported else (_LABELS_IMPORTED, _IMPORTED):
            set_fact(connection, name, iso_time(time.time()))
    logger.info("took over %d labels from %s", len(labels) - left_out, NAME)
    if left_out:
        logger.warning(
            "%d labels of %s are left out: no image, no file, or one that cannot be read", left_out, NAME
        )


def _entries(path: Path) -> list[tuple[str, dict[str, Any], dict[str, dict[str, Any]]]]:
    """Return name, notes and labels by tag of every image."""
    try:
        objects = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=lambda _: None)["objects"]
        entries = [
            (str(name), _info(entry["image"]), dict(entry.get("labels") or {}))
            for name, entry in objects.items()
        ]
        for _, _, tags in entries:
            for label in tags.values():
                _info(label)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"{path}: not MONAI Label's datastore ({type(error).__name__}: {error}); restore it or move it"
            " away"
        ) from error
    return entries


def _time(value: object, *, otherwise: float) -> float:
    """Return an entry's time in seconds since 1970, if a calendar has it."""
    if isinstance(value, int | float) and math.isfinite(value) and 0 <= value <= LAST_S:
        return float(value)
    return otherwise


def _info(entry: Mapping[str, Any]) -> dict[str, Any]:
    return dict(entry.get("info") or {})
