"""Names of image files: patient, view, phase and image id."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

from cardiolabel.domain import VIEWS, Phase, Record, View
from cardiolabel.system.readable_text import readable_text

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".mhd", ".mha")
"""Endings of the image files in a studies folder or a folder of images."""

MASK_SUFFIX = "_gt"
"""End of the stem of a reference mask beside its image."""

FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
"""Unicode forms in which file systems keep names."""

_DIGITS = 12
_LONGEST_ID = 248  # a file's name has 255 letters at most; this leaves room for ".nii.gz"

_VIEWS = {name: view for view, description in VIEWS.items() for name in description.file_names}
_PHASES = {"ed": Phase.ED, "es": Phase.ES, "cine": Phase.CINE, "sequence": Phase.CINE}


def image_suffix(path: Path) -> str | None:
    """Return which of `IMAGE_SUFFIXES` a file name ends in, whatever its case; None for any other file.

    >>> image_suffix(Path("patient0001_4CH_ED.NII.GZ"))
    '.nii.gz'
    """
    return next((suffix for suffix in IMAGE_SUFFIXES if path.name.lower().endswith(suffix)), None)


def image_stem(path: Path) -> str:
    """Return a file name without its image suffix (``.nii.gz`` counts as one)."""
    return path.name[: len(path.name) - len(image_suffix(path) or path.suffix)]


def is_image_name(path: Path) -> bool:
    """Return whether a file is an image by its name: a known suffix, not hidden, not a ``_gt`` mask."""
    stem = image_stem(path)
    hidden = path.name.startswith(".")
    return image_suffix(path) is not None and not hidden and not stem.lower().endswith(MASK_SUFFIX)


def last_part(name: str) -> str:
    r"""Return the file's own name in a path as any client or program writes it.

    >>> last_part("../masks/x.nii.gz"), last_part("C:\\dir\\x.nii.gz"), last_part("x.nii.gz")
    ('x.nii.gz', 'x.nii.gz', 'x.nii.gz')
    """
    return PureWindowsPath(PurePosixPath(name).name).name


def normalized(name: str) -> str:
    """Return a name in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", name)


def clean_id(name: str) -> str:
    """Replace every run of characters other than letters, digits and ``._-`` by ``_``."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip("._-") or "image"


def id_from_name(name: str) -> str:
    """Return the image id of a file name.

    A name of ASCII letters, digits and ``._-`` is its own id. Any other name keeps these characters, followed
    by digits of the patient's name, so that two names never share an id.

    Parameters
    ----------
    name : str
        A file's name without its suffix.

    Examples
    --------
    >>> id_from_name("patient0001_4CH_ED"), id_from_name("Patient 1_4CH_ED")
    ('patient0001_4CH_ED', 'Patient_1-875954927280_4CH_ED')
    """
    name = normalized(name)
    return name if clean_id(name) == name else id_with_digits(name)


def id_with_digits(name: str, *, place: str = "") -> str:
    """Return an image id of the usable characters of a name, and digits of the patient's name and its place.

    Parameters
    ----------
    name : str
        A file's name without its suffix.
    place : str
        What else tells the image from others of the same name.
    """
    stripped = normalized(name).strip()
    described = _parts(stripped)[3]
    patient = name.removesuffix(described)  # all of a name that ends in blanks
    digest = hashlib.sha256(f"{place}/{patient}".encode("utf-8", "surrogatepass")).digest()
    digits = f"{int.from_bytes(digest[:8], 'big') % 10**_DIGITS:0{_DIGITS}d}"
    words = stripped[: len(stripped) - len(described)]
    words = re.sub(r"[^A-Za-z0-9._-]+", "_", words).strip("._-")[: _LONGEST_ID - len(described) - _DIGITS - 1]
    return "-".join(filter(None, (words, digits))) + described


def earlier_ids(names: Iterable[str], *, taken: Iterable[str] = ()) -> dict[str, str]:
    """Return the ids that earlier versions gave to files, which depended on the other names.

    Parameters
    ----------
    names : iterable of str
        Every file of the folder.
    taken : iterable of str
        Ids of the manifest.

    Examples
    --------
    >>> earlier_ids(["a_b.nii.gz", "a b.nii.gz"])
    {'a b.nii.gz': 'a_b', 'a_b.nii.gz': 'a_b_2'}
    """
    folded = {image_id.casefold() for image_id in taken}
    ids = {}
    for name in sorted(names):
        cleaned = clean_id(normalized(image_stem(Path(name))).strip())
        candidate, number = cleaned, 1
        while candidate.casefold() in folded:
            number += 1
            candidate = f"{cleaned}_{number}"
        folded.add(candidate.casefold())
        ids[name] = candidate
    return ids


def record_from_name(path: Path, dataset: str = "folder", *, name: str | None = None) -> Record:
    """Read a record from a file name: ``<patient>_<view>_<phase>``, in any case.

    Views are ``2CH``/``A2C``, ``4CH``/``A4C`` and ``SAX``; phases are ``ED``, ``ES`` and ``cine``,
    ``sequence`` or ``half_sequence``. A name without any of these is its own patient with an unknown view,
    and counts as a cine.

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
        ``image_id`` is `id_from_name`; ``patient`` keeps every letter, so that two patients never
        become one.

    Examples
    --------
    >>> record = record_from_name(Path("patient0001_4CH_ED.nii.gz"))
    >>> record.patient, record.view.value, record.phase.value
    ('patient0001', 'A4C', 'ED')
    >>> record_from_name(Path("scan.mha")).view.value
    'unknown'
    """
    stem = image_stem(path) if name is None else name
    patient, view, phase, _ = _parts(normalized(readable_text(stem)).strip())
    return Record(
        image_id=id_from_name(stem),
        patient=patient,
        view=view or View.UNKNOWN,
        phase=phase or Phase.CINE,
        dataset=dataset,
        path=path,
    )


def _parts(stem: str) -> tuple[str, View | None, Phase | None, str]:
    """Return patient, view and phase of a name, and the end of the name that holds the last two."""
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
    if not patient or (view is None and phase is None):
        return stem, view, phase, ""
    return patient, view, phase, stem[len(patient) :]
