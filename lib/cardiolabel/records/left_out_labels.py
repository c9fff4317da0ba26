"""Label files of a studies folder that belong to no image or cannot be used, with the reason."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from cardiolabel.domain import Record
from cardiolabel.errors import InputError
from cardiolabel.io.images import read_image
from cardiolabel.io.mask_files import read_mask_on
from cardiolabel.records.file_names import image_stem, normalized
from cardiolabel.records.label_names import label_file, label_stem
from cardiolabel.records.layout import LABELS, SUFFIX, StudiesLayout
from cardiolabel.records.studies_folder import StudiesFolder

__all__ = ["ForeignLabel", "foreign_labels", "left_out_labels"]

_STOCK = "datastore_v2.json"
_PLACES = {"images_dir": ".", "labels_dir": LABELS}
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class ForeignLabel:
    """A mask that another program stored under an image's own name or in another format."""

    path: Path
    tag: str
    record: Record


def foreign_labels(
    folder: Path, records: Mapping[str, Record], names: Mapping[str, str]
) -> list[ForeignLabel]:
    """Return each image's foreign mask that no ``labels/<tag>/<image_id>.nii.gz`` has replaced.

    Parameters
    ----------
    folder : Path
        The studies folder.
    records : mapping of str to Record
        Its images by id.
    names : mapping of str to str
        As `label_names.image_names` gives them.
    """
    labels = {}
    for tag, path in _files_of_tags(folder):
        image_id = names.get(normalized(label_stem(path.name) or ""), "")
        if _TAG.fullmatch(tag) and image_id in records and path.name != f"{image_id}{SUFFIX}":
            chosen = label_file(path.parent, records[image_id], names)
            if chosen is not None and chosen.name != f"{image_id}{SUFFIX}":
                labels[tag, image_id] = ForeignLabel(chosen, tag, records[image_id])
    return list(labels.values())


def left_out_labels(studies: StudiesFolder, *, read: bool) -> list[tuple[str, str]]:
    """Return every unused label file with the reason.

    Parameters
    ----------
    studies : StudiesFolder
    read : bool
        Read the masks of other programs as well, and say which cannot be used.

    Returns
    -------
    list of (str, str)
        The file's path within the studies folder, and the reason with what to do.
    """
    names, disputed = studies.image_names(), studies.disputed_labels()
    problems = [(_within(path, studies), reason) for path, reason in _misplaced(studies.folder)]
    for tag, path in _files_of_tags(studies.folder):
        stem = normalized(label_stem(path.name) or "")
        if not _TAG.fullmatch(tag):
            reason = "the name of its folder is no tag; rename the folder: letters, digits and ._- only"
            problems.append((_within(path, studies), reason))
        elif stem not in names:
            reason = _whose(stem, disputed.get(stem, ()), studies)
            problems.append((_within(path, studies), reason))
    for label in foreign_labels(studies.folder, studies.by_id(), names) if read else ():
        try:
            grid = read_image(label.record.path).grid
            read_mask_on(label.path, grid, label.record.labels, stack=label.record.is_stack)
        except InputError as error:
            problems.append((_within(label.path, studies), str(error)))
    return sorted(problems) + _elsewhere(studies.folder)


def _elsewhere(folder: Path) -> list[tuple[str, str]]:
    """Return the folders in which MONAI Label's own datastore kept images and labels."""
    try:
        content: Any = json.loads((folder / _STOCK).read_text(encoding="utf-8-sig"))
        places = {key: PurePath(str(content.get(key) or here)) for key, here in _PLACES.items()}
    except (OSError, ValueError, AttributeError):
        return []  # the store says what is wrong with it
    return [
        (_STOCK, f"{key} is {str(place)!r}; move what it holds to {_PLACES[key]!r} in the studies folder")
        for key, place in places.items()
        if place != PurePath(_PLACES[key])
    ]


def _whose(stem: str, files: tuple[str, ...], studies: StudiesFolder) -> str:
    """Return the reason why a label belongs to no image."""
    ids = {record.path.name: record.image_id for record in studies.by_id().values()}
    candidates = " or ".join(f"{ids[name]} ({name})" for name in files if name in ids)
    if candidates:
        return f"nothing tells whose it is; call it by the id of its image: {candidates}"
    if any(stem == normalized(image_stem(Path(file))) for file, _ in studies.left_out_images()):
        return "its image is left out, as its row in the manifest is malformed; correct the row"
    if files or stem in studies.unowned_ids():
        return "its image is not in this folder"
    return "no image has this name or id; call it by the id of its image"


def _files_of_tags(folder: Path) -> Iterator[tuple[str, Path]]:
    """Return the masks in their tags' folders, with the tags."""
    labels = StudiesLayout(folder).labels
    tags = sorted(path for path in labels.iterdir() if path.is_dir()) if labels.is_dir() else []
    for tag in tags:
        for path in sorted(tag.iterdir()):
            if not tag.name.startswith(".") and label_stem(path.name) is not None and path.is_file():
                yield tag.name, path


def _misplaced(folder: Path) -> Iterator[tuple[Path, str]]:
    """Return the masks elsewhere under ``labels``."""
    labels = StudiesLayout(folder).labels
    for inner, folders, files in os.walk(labels):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        depth = len(Path(inner).relative_to(labels).parts)
        for name in sorted(files):
            if depth != 1 and label_stem(name) is not None:
                yield (
                    Path(inner, name),
                    "not in a folder of labels; move it to labels/final or labels/original",
                )


def _within(path: Path, studies: StudiesFolder) -> str:
    return path.relative_to(studies.folder).as_posix()
