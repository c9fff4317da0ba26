"""Any folder of NIfTI, MetaImage, video and picture files: names are parsed, or each file is its own patient.

A reference mask lies beside its image, with ``_gt`` after the image's stem.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from cardiolabel.datasets.listing import Entry, Listing
from cardiolabel.domain import Phase, Record, View
from cardiolabel.errors import DatasetError
from cardiolabel.io import mask_files, picture, video
from cardiolabel.records import file_names, manifest
from cardiolabel.records.layout import LABELS, StudiesLayout
from cardiolabel.records.manifest_table import ManifestTable

__all__ = ["NAME", "files", "is_image_file", "listing", "records", "reference_path"]

NAME = "folder"

MasksByName = Mapping[str, tuple[Path, ...]]
"""Reference masks of one folder by their names in lower case."""

SUFFIXES = (*file_names.IMAGE_SUFFIXES, *video.SUFFIXES, *picture.SUFFIXES)
"""Endings of the files that are listed."""

_EXPECTED = f"images ending in {', '.join(SUFFIXES)}"

_RESULTS = {"frames.csv", "patients.csv"}
"""Tables beside which pictures are results, not images."""


def listing(root: Path, *, is_empty_allowed: bool = False) -> Listing:
    """List every image with its reference mask; parameters and errors as `records`."""
    masks_by_name = cache(_masks_by_name)  # each folder is listed once
    records, problems = _records(root, is_empty_allowed=is_empty_allowed)
    return Listing(
        tuple(
            Entry(record, record.path, reference_path(record, masks_by_name=masks_by_name))
            for record in records
        ),
        tuple(problems.items()),
    )


def records(root: Path) -> list[Record]:
    """Return the images in a folder and its subfolders, in order of their paths.

    Hidden files and folders named ``labels`` (MONAI Label's masks) are left out. Where a ``manifest.csv``
    lies in ``root``, its rows describe the files that it names; files of malformed rows are left out.

    Parameters
    ----------
    root : Path
        The folder.

    Returns
    -------
    list of Record
        With ids that differ: where the same file name occurs in several folders, every image of
        that patient takes its folder's name in front, in the id and in the patient, because
        ``a/p1_4CH_ED`` and ``b/p1_4CH_ED`` are two people.

    Raises
    ------
    DatasetError
        No such folder, or no image in it.
    ManifestError
        ``root/manifest.csv`` is no table of images.
    """
    return _records(root)[0]


def is_image_file(path: Path) -> bool:
    """Return whether a file is an image by its name: not hidden, and not a ``_gt`` mask."""
    stem = file_names.image_stem(path).lower()
    hidden, is_mask = path.name.startswith("."), stem.endswith(file_names.MASK_SUFFIX)
    return path.name.lower().endswith(SUFFIXES) and not (hidden or is_mask)


def files(root: Path) -> Iterator[Path]:
    """Yield the files of a folder and its subfolders, without hidden ones, masks and results."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name != LABELS and not name.startswith("."))
        if _RESULTS <= set(names) and Path(folder) != root:
            folders.clear()
            continue
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _records(root: Path, *, is_empty_allowed: bool = False) -> tuple[list[Record], dict[str, str]]:
    """Return the records, and the left-out files or manifest lines with the reason."""
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; expected one that holds {_EXPECTED}")
    has_manifest = StudiesLayout(root).manifest.exists()
    table = manifest.read_table(root) if has_manifest else ManifestTable((), ())
    listed = [record for record in table.records if record.path.is_file()]
    named = {record.path for record in listed}
    paths = [path for path in _images(root) if path not in named]
    left_out = table.left_out(paths)
    paths = [path for path in paths if path not in left_out]
    problems = {path.relative_to(root).as_posix(): reason for path, reason in left_out.items()}
    problems |= {row.where: row.reason for row in table.bad_rows if row.reason not in left_out.values()}
    if not (listed or paths or is_empty_allowed):
        raise DatasetError(f"{root}: found no image; expected {_EXPECTED}")
    ids = {record.image_id for record in listed}
    return listed + _with_distinct_ids(_told_apart(paths, root), root, ids), problems


def reference_path(
    record: Record, *, masks_by_name: Callable[[Path], MasksByName] | None = None
) -> Path | None:
    """Return the mask beside a record's image, ``<stem>_gt`` in any case and with any mask suffix; or
    None.
    """
    stem = file_names.image_stem(record.path) + file_names.MASK_SUFFIX
    own = file_names.image_suffix(record.path) or record.path.suffix
    names = [stem + suffix for suffix in (own, *mask_files.SUFFIXES)]
    mask = next((path for path in map(record.path.with_name, names) if path.is_file()), None)
    if mask is not None:
        return mask
    by_name = (masks_by_name or _masks_by_name)(record.path.parent)
    exact = file_names.image_stem(record.path)
    return next(
        (path for name in names for path in by_name.get(name.lower(), ()) if path.name.startswith(exact)),
        None,
    )


def _masks_by_name(folder: Path) -> MasksByName:
    """Return the reference masks of a folder by their names in lower case, as ``X_GT.NII.GZ`` is one of
    ``X.nii.gz``.
    """
    masks: defaultdict[str, tuple[Path, ...]] = defaultdict(tuple)
    for path in sorted(folder.iterdir()):
        if file_names.image_stem(path).lower().endswith(file_names.MASK_SUFFIX) and path.is_file():
            masks[path.name.lower()] += (path,)
    return dict(masks)


def _images(root: Path) -> list[Path]:
    return sorted(path for path in files(root) if is_image_file(path))


def _told_apart(paths: list[Path], root: Path) -> list[Record]:
    """Return the records by name, with as many parent folders in front as it takes to separate patients."""
    parts = {path: path.parent.relative_to(root).parts for path in paths}
    depth = {path: 0 for path in paths}
    record_of: dict[Path, Record] = {}
    unclear = set(paths)
    while unclear:
        for path in unclear:
            folders = parts[path][len(parts[path]) - depth[path] :]
            name = "_".join((*folders, file_names.image_stem(path)))
            record_of[path] = file_names.record_from_name(path, NAME, name=name)
        places: defaultdict[str, set[Path]] = defaultdict(set)
        for path, record in record_of.items():
            places[record.image_id.casefold()].add(path.parent)
        clashing = {
            record.patient for record in record_of.values() if len(places[record.image_id.casefold()]) > 1
        }
        unclear = {
            path
            for path, record in record_of.items()
            if depth[path] < len(parts[path]) and (record.patient in clashing or _says_no_patient(record))
        }
        for path in unclear:
            depth[path] += 1
    return [record_of[path] for path in paths]


def _with_distinct_ids(records: list[Record], root: Path, manifest_ids: set[str]) -> list[Record]:
    """Make equal ids distinct by digests of their paths; the only ``.nii.gz`` keeps its id."""
    sharing: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        sharing[record.image_id].append(record)
    owners = set()
    for image_id, of_id in sharing.items():
        first = [record for record in of_id if record.path.name.endswith(file_names.IMAGE_SUFFIXES[0])]
        chosen = of_id if len(of_id) == 1 else first
        if len(chosen) == 1 and image_id not in manifest_ids:
            owners.add(chosen[0].path)
    return [
        record
        if record.path in owners
        else replace(
            record,
            image_id=file_names.id_with_digits(record.image_id, place=_place(record.path, root)),
        )
        for record in records
    ]


def _place(path: Path, root: Path) -> str:
    """Return the folder and suffix of a file."""
    folder = path.parent.relative_to(root).as_posix()
    return f"{folder}/{path.name.removeprefix(file_names.image_stem(path))}"


def _says_no_patient(record: Record) -> bool:
    """Return whether a name is only a view or a phase, such as ``4CH_ED``."""
    described = record.view is not View.UNKNOWN or record.phase is not Phase.CINE
    return described and record.patient == file_names.image_stem(record.path)
