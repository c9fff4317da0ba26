"""Ids under which a folder's images were prepared, so that later runs keep them.

An id begins with as many folder names as separate it from other files of the source (`folder.records`), so
that new files could change it. The studies folder therefore keeps the id of every source file in
``.cardiolabel/prepared_ids.json``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cardiolabel.datasets.listing import Entry
from cardiolabel.errors import DatasetError
from cardiolabel.io.files import atomic
from cardiolabel.records.file_names import clean_id, id_with_digits, image_stem, normalized
from cardiolabel.records.id_register import by_base
from cardiolabel.records.layout import StudiesLayout

__all__ = ["with_earlier_ids"]

"""Where a studies folder keeps them."""


def with_earlier_ids(
    entries: Sequence[Entry],
    *,
    source: Path,
    dest: Path,
    listed: Collection[str],
    is_same: Callable[[Path, Path], bool],
) -> list[Entry]:
    """Return the entries of a folder under the ids that they already have in the studies folder.

    Parameters
    ----------
    entries : sequence of Entry
        As `folder.listing` gives them.
    source, dest : Path
        The folder, and the studies folder; the ids are kept there.
    listed : collection of str
        Image ids of the studies folder's manifest.
    is_same : callable
        Whether a source file and an image of the studies folder are the same image. It tells which images
        a run of a version prepared that did not keep their ids.

    Raises
    ------
    DatasetError
        The file of earlier ids is damaged.
    """
    prepared = _read(StudiesLayout(dest).prepared_ids)
    files = [entry.record.path.relative_to(source).as_posix() for entry in entries]
    ids: dict[str, str] = {name: prepared[name] for name in files if name in prepared}
    earlier = by_base(set(listed) - set(prepared.values()))
    for name, entry in zip(files, entries, strict=True):
        if name in ids:
            continue
        taken = {*prepared.values(), *ids.values()}
        own = entry.record.image_id
        candidates = (
            image_id
            for base in _earlier_bases(entry.record.path, source)
            for image_id in earlier.get(base, ())
            if image_id not in taken and image_id != own
        )
        if own in listed and own not in taken:
            ids[name] = own
        elif same := next((id for id in candidates if is_same(entry.record.path, _image(dest, id))), None):
            ids[name] = same
        else:
            ids[name] = own if own not in taken else id_with_digits(own, place=name)
    _write(StudiesLayout(dest).prepared_ids, {**prepared, **ids}, is_changed=prepared != {**prepared, **ids})
    return [
        replace(entry, record=replace(entry.record, image_id=ids[name]))
        for name, entry in zip(files, entries, strict=True)
    ]


def _image(dest: Path, image_id: str) -> Path:
    return StudiesLayout(dest).image(image_id)


def _earlier_bases(path: Path, source: Path) -> Iterator[str]:
    """Return the cleaned names that a file may have had, with or without folders in front."""
    stem, folders = normalized(image_stem(path)), path.parent.relative_to(source).parts
    for start in range(len(folders), -1, -1):
        yield clean_id("_".join((*folders[start:], stem)).strip()).casefold()


def _read(path: Path) -> dict[str, str]:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): str(image_id) for name, image_id in content.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); restore or remove it") from error


def _write(path: Path, ids: dict[str, str], *, is_changed: bool) -> None:
    if is_changed:
        with atomic(path) as draft:
            draft.write_text(json.dumps(ids, indent=1) + "\n", encoding="utf-8")
