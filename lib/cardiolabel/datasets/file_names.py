"""What the name of an image file tells."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container
from pathlib import Path

from cardiolabel.domain import Phase, Record, View

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".mhd", ".mha")
"""Image files that a studies folder or a folder of images may hold."""

MASK_SUFFIX = "_gt"
"""End of the stem of a reference mask that lies beside its image."""

_VIEWS = {"2ch": View.A2C, "a2c": View.A2C, "4ch": View.A4C, "a4c": View.A4C, "sax": View.SAX}
_PHASES = {"ed": Phase.ED, "es": Phase.ES, "cine": Phase.CINE, "sequence": Phase.CINE}


def image_suffix(path: Path) -> str | None:
    """Which of `IMAGE_SUFFIXES` a file name ends in, whatever its case; None for any other file.

    >>> image_suffix(Path("patient0001_4CH_ED.NII.GZ"))
    '.nii.gz'
    """
    return next((suffix for suffix in IMAGE_SUFFIXES if path.name.lower().endswith(suffix)), None)


def image_stem(path: Path) -> str:
    """File name without its image suffix (``.nii.gz`` counts as one)."""
    return path.name[: len(path.name) - len(image_suffix(path) or path.suffix)]


def is_image_name(path: Path) -> bool:
    """Whether a file is an image by its name: a known suffix, not hidden, not a ``_gt`` mask."""
    stem = image_stem(path)
    hidden = path.name.startswith(".")
    return image_suffix(path) is not None and not hidden and not stem.lower().endswith(MASK_SUFFIX)


def clean_id(name: str) -> str:
    """An image id: letters, digits and ``._-`` are kept, a run of anything else becomes ``_``."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip("._-") or "image"


def unique_id(wanted: str, taken: Container[str]) -> str:
    """The wanted image id, or the first of ``wanted_2``, ``wanted_3``, … that is free.

    ``taken`` holds case-folded ids, as some file systems take ``A`` and ``a`` for one name.

    >>> unique_id("Scan", {"scan"})
    'Scan_2'
    """
    candidate, number = wanted, 1
    while candidate.casefold() in taken:
        number += 1
        candidate = f"{wanted}_{number}"
    return candidate


def record_from_name(path: Path, dataset: str = "folder", *, name: str | None = None) -> Record:
    """What a file's name tells: ``<patient>_<view>_<phase>``, in any case.

    Views are ``2CH``/``A2C``, ``4CH``/``A4C`` and ``SAX``; phases are ``ED``, ``ES`` and ``cine``,
    ``sequence`` or ``half_sequence``. A name without any of these is its own patient with an
    unknown view, and counts as a cine.

    Parameters
    ----------
    path : Path
        The image file; it is not opened.
    dataset : str
        Name of the dataset.
    name : str, optional
        Read this instead of the file's stem.

    Returns
    -------
    Record
        ``image_id`` keeps the letters, digits and ``._-`` of the name; ``patient`` keeps them all,
        so that two patients never become one.

    Examples
    --------
    >>> record = record_from_name(Path("patient0001_4CH_ED.nii.gz"))
    >>> record.patient, record.view.value, record.phase.value
    ('patient0001', 'A4C', 'ED')
    >>> record_from_name(Path("scan.mha")).view.value
    'unknown'
    """
    stem = unicodedata.normalize("NFC", image_stem(path) if name is None else name).strip()
    stem = stem.encode("utf-8", "replace").decode("utf-8")
    patient = re.sub(r"half[_-]sequence$", "sequence", stem, flags=re.IGNORECASE)
    view: View | None = None
    phase: Phase | None = None
    while match := re.fullmatch(r"(?s:(.*?)[_-]+)?([^_-]+)", patient):
        word = match[2].lower()
        if view is None and word in _VIEWS:
            view = _VIEWS[word]
        elif phase is None and word in _PHASES:
            phase = _PHASES[word]
        else:
            break
        patient = match[1] or ""
    patient = patient or stem
    return Record(
        image_id=clean_id(stem),
        patient=patient,
        view=view or View.UNKNOWN,
        phase=phase or Phase.CINE,
        dataset=dataset,
        path=path,
    )
