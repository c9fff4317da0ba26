"""Label files of images, found by their names."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from cardiolabel.domain import Record
from cardiolabel.io.mask_files import SUFFIXES
from cardiolabel.records.file_names import FORMS, image_stem, normalized

__all__ = ["image_names", "label_file", "label_stem"]

_CAPITALS = tuple(cased for suffix in SUFFIXES for cased in (suffix.upper(), suffix.title()))


def label_stem(name: str) -> str | None:
    """Return a mask file's name without its suffix, whatever its case; None for any other file and hidden
    ones.

    >>> label_stem("q1_4CH_ED.seg.nrrd"), label_stem("q1_4CH_ED.NII.GZ"), label_stem("notes.txt")
    ('q1_4CH_ED', 'q1_4CH_ED', None)
    """
    suffix = next((end for end in SUFFIXES if name.lower().endswith(end)), None)
    return None if suffix is None or name.startswith(".") else name[: -len(suffix)]


def image_names(
    folder: Path, records: Iterable[Record], *, unowned_ids: Iterable[str] = ()
) -> dict[str, str]:
    """Return image ids by possible names of label files: the id, or the image's own file name.

    Parameters
    ----------
    folder : Path
        The studies folder. File names of images in folders within it stand for none, as they may recur.
    records : iterable of Record
        Every image of the folder.
    unowned_ids : iterable of str
        Ids of images that are gone or disputed; no file name stands for them.

    Returns
    -------
    dict of str to str
        Names are in Unicode's composed form, without suffix. A file name that is another image's id, or that
        of several files, belongs to none.
    """
    records = list(records)
    stems = {
        record.image_id: normalized(image_stem(record.path))
        for record in records
        if record.path.parent == folder
    }
    files = Counter(stems.values())
    names = {stem: id for id, stem in stems.items() if files[stem] == 1 and stem not in unowned_ids}
    return {**names, **{record.image_id: record.image_id for record in records}}


def label_file(folder: Path, record: Record, names: Mapping[str, str]) -> Path | None:
    """Return the mask of an image in a folder of any program's masks; None without one.

    Parameters
    ----------
    folder : Path
        As ``labels/final``.
    record : Record
        The image.
    names : mapping of str to str
        As `image_names` gives them. A file that is called by the image's id counts before one that is called
        as the image's file is, in any form of Unicode, and of each the first of `SUFFIXES`.
    """
    stem = normalized(image_stem(record.path))
    for name in dict.fromkeys((record.image_id, stem)):
        if names.get(name) != record.image_id:
            continue
        for spelling in dict.fromkeys((name, *(unicodedata.normalize(form, name) for form in FORMS))):
            paths = (folder / f"{spelling}{suffix}" for suffix in (*SUFFIXES, *_CAPITALS))
            if path := next((path for path in paths if _is_file(path)), None):
                return path
    return None


def _is_file(path: Path) -> bool:
    """Return whether there is such a file; a name too long for the file system is none."""
    try:
        return path.is_file()
    except OSError:
        return False
