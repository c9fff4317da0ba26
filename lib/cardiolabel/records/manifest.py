"""The manifest of a studies folder: ``manifest.csv`` beside the images.

It is comma-separated UTF-8 with one row per image and one column per field of `cardiolabel.domain.Record`;
``path`` is relative to the folder. People edit it: column order, a byte-order mark and blank optional cells
are accepted, and its values win over file names.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from cardiolabel.domain import Record
from cardiolabel.errors import DatasetError, ManifestError
from cardiolabel.io.files import atomic
from cardiolabel.io.text_files import decoded
from cardiolabel.records.file_names import IMAGE_SUFFIXES, image_suffix, is_image_name, record_from_name
from cardiolabel.records.image_ids import image_ids
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.records.manifest_row import COLUMNS
from cardiolabel.records.manifest_table import ManifestTable, parse

__all__ = ["ScannedFolder", "read", "read_table", "scan", "scan_folder", "split_by_patient", "write"]

_log = logging.getLogger(__name__)


def write(records: Iterable[Record], folder: Path) -> None:
    """Write ``folder/manifest.csv``, whole or not at all.

    Parameters
    ----------
    records : iterable of Record
        Every ``path`` lies in the folder.
    folder : Path
        An existing folder.

    Raises
    ------
    ManifestError
        A record that `read` would refuse: a path outside the folder, a duplicate or impossible id.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for record in records:
        relative = replace(record, path=_relative(record.path, folder))
        table.writerow([_cell(getattr(relative, column)) for column in COLUMNS])
    _refuse_bad_rows(parse(text.getvalue(), folder), folder)
    with atomic(StudiesLayout(folder).manifest) as draft:
        draft.write_text(text.getvalue(), encoding="utf-8", newline="")


def read(folder: Path) -> list[Record]:
    """Return the records of ``folder/manifest.csv``, in its order.

    Parameters
    ----------
    folder : Path
        The studies folder; every record's ``path`` starts with it. The images need not exist.

    Returns
    -------
    list of Record

    Raises
    ------
    ManifestError
        No manifest, or a line or column that cannot be understood; both are named.
    """
    return _refuse_bad_rows(read_table(folder), folder)


def read_table(folder: Path) -> ManifestTable:
    """Read a manifest as `read`, and return malformed rows beside the records instead of an error.

    Raises
    ------
    ManifestError
        No manifest, or one that is no table of images at all.
    """
    target = StudiesLayout(folder).manifest
    try:
        content = target.read_bytes()
    except OSError as error:
        raise ManifestError(f"{target}: cannot be read ({error.strerror}); expected a table") from error
    try:
        text = decoded(content)
    except UnicodeDecodeError:
        text = content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    except ValueError as error:
        raise ManifestError(f"{target}: {error}") from error
    try:
        return parse(text, folder)
    except ManifestError as error:
        raise ManifestError(f"{folder}/{error}") from error


def _refuse_bad_rows(table: ManifestTable, folder: Path) -> list[Record]:
    if table.bad_rows:
        raise ManifestError(f"{folder}/{table.bad_rows[0].reason}")
    return list(table.records)


@dataclass(frozen=True)
class ScannedFolder:
    """The images of a studies folder.

    Attributes
    ----------
    records : tuple of Record
        The manifest's first, then root files that it does not name.
    disputed : mapping of str to tuple of str
        Image ids that have labels and could belong to several files, by id.
    unowned_ids : frozenset of str
        Ids that are none of the records': the disputed ones, and those of files that are gone.
    left_out : tuple of (str, str)
        Image files, or lines of the manifest, that are left out as a row cannot be understood, and why.
    """

    records: tuple[Record, ...]
    disputed: Mapping[str, tuple[str, ...]]
    unowned_ids: frozenset[str]
    left_out: tuple[tuple[str, str], ...] = ()


def scan(folder: Path, *, strict: bool = False, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> list[Record]:
    """Return the records of `scan_folder`."""
    return list(scan_folder(folder, strict=strict, suffixes=suffixes).records)


def scan_folder(
    folder: Path, *, strict: bool = False, suffixes: tuple[str, ...] = IMAGE_SUFFIXES
) -> ScannedFolder:
    """Find every image of a studies folder.

    Parameters
    ----------
    folder : Path
        The studies folder.
    strict : bool
        Raise where the manifest names a file that is not there; otherwise such rows are left out.
    suffixes : tuple of str
        Files without a row in the manifest are taken where they end in one of these.

    Returns
    -------
    ScannedFolder

    Raises
    ------
    DatasetError
        No such folder, or its register of image ids is damaged.
    ManifestError
        A manifest that is no table, or a missing file or a bad row when ``strict``.

    Notes
    -----
    A row that cannot be understood takes the image files that it names with it: under the names of their
    files they could pass for other patients.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; expected a folder of images")
    has_manifest = (StudiesLayout(folder).manifest).exists()
    table = read_table(folder) if has_manifest else ManifestTable((), ())
    named = _refuse_bad_rows(table, folder) if strict else list(table.records)
    missing = [record.path for record in named if not record.path.is_file()]
    if missing and strict:
        raise ManifestError(
            f"{StudiesLayout(folder).manifest}: {len(missing)} of its files do not exist, the first is"
            f" {missing[0].name!r}; restore them or delete their lines"
        )
    if missing:
        _log.warning("%d images that the manifest names do not exist and are left out", len(missing))
        _log.debug("missing images: %s", ", ".join(str(path) for path in missing))
    gone, listed = set(missing), {record.path for record in named}
    unlisted = [
        path
        for path in sorted(folder.iterdir())
        if is_image_name(path) and path not in listed and path.is_file()
    ]
    left_out = table.left_out(unlisted)
    ids = image_ids(folder, unlisted, manifest_ids={record.image_id for record in named})
    records = [record for record in named if record.path not in gone] + [
        replace(record_from_name(path), image_id=ids.by_name[path.name])
        for path in unlisted
        if image_suffix(path) in suffixes and path not in left_out
    ]
    without_file = {row.where: row.reason for row in table.bad_rows if row.reason not in left_out.values()}
    reasons = {**{path.name: reason for path, reason in left_out.items()}, **without_file}
    return ScannedFolder(tuple(records), ids.disputed, ids.unowned, tuple(reasons.items()))


def split_by_patient(
    records: Sequence[Record], *, holdout: int, seed: int
) -> tuple[list[Record], list[Record]]:
    """Set whole patients aside, the same ones every time.

    Patients are ranked by the SHA-256 of ``"{seed}:{patient}"`` and the first ``holdout`` are set aside, so
    that a new patient can displace at most one of them and never reshuffles the others.

    Parameters
    ----------
    records : sequence of Record
        Grouped by person: the studies of one person stay together.
    holdout : int
        Number of persons to set aside.
    seed : int
        Another seed gives another ranking.

    Returns
    -------
    kept, held_out : list of Record
        In the order given; no patient is in both.

    Raises
    ------
    DatasetError
        ``holdout`` is negative or more than there are patients.
    """
    patients = {record.split_unit for record in records}
    if not 0 <= holdout <= len(patients):
        raise DatasetError(f"cannot hold out {holdout} of {len(patients)} patients")
    ranked = sorted(patients, key=lambda patient: hashlib.sha256(f"{seed}:{patient}".encode()).digest())
    aside = set(ranked[:holdout])
    return (
        [record for record in records if record.split_unit not in aside],
        [record for record in records if record.split_unit in aside],
    )


def _relative(path: Path, folder: Path) -> Path:
    """Return ``path`` relative to ``folder``; the image itself may be a link to another place."""
    for of_path, of_folder in (
        (path, folder),
        (path.parent.resolve() / path.name, folder.resolve()),
    ):
        if of_path.is_relative_to(of_folder) and ".." not in of_path.parts:
            return of_path.relative_to(of_folder)
    raise ManifestError(f"{path}: lies outside {folder}; a manifest names only files in its own folder")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return str(value.value)
    return value.as_posix() if isinstance(value, Path) else str(value)
