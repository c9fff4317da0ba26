"""Sunnybrook Cardiac Data: short-axis MR cines (DICOM) of 45 patients, contours at ED and ES.

Two layouts are understood. The official one::

    SCD_IMAGES_01/SCD0000101/CINESAX_300/IM-0003-0048.dcm      or SCD0000101/CINESAX_300/… at the root
    SCD_ManualContours/SC-HF-I-01/contours-manual/IRCCI-expert/IM-0001-0048-icontour-manual.txt
    scd_patientdata.csv                                        which SCD… is which SC-…, sex, age

and a flattened one::

    dicoms/SCD0000101/48.dcm
    contourfiles/SC-HF-I-1/{i-contours,o-contours}/IM-0001-0048-{i,o}contour-manual.txt
    link.csv                                                   which SCD… is which SC-…

The last number of a file's name joins images and contours. Images become one stack for each phase. Masks
hold `ACDC_LABELS`: 3 LV cavity, papillary muscles included, and 2 myocardium. The right ventricle was
never drawn. Epicardial contours exist at ED only, so **masks at ES hold the cavity and no myocardium**:
there 0 means "not drawn", and a model must not learn it as background (`sunnybrook_patient.myocardium_drawn`
tells the slices apart). Slices without any contour lie above the base or below the apex.

References
----------
Radau et al. 2009, The MIDAS Journal, http://hdl.handle.net/10380/3070
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiolabel.datasets.listing import Entry, Listing, Shape
from cardiolabel.datasets.sunnybrook_contours import ContourFile, contour_files
from cardiolabel.datasets.sunnybrook_patient import Patient, numbered_files
from cardiolabel.domain import Phase, Record, View
from cardiolabel.errors import DatasetError
from cardiolabel.io.numbers_in_text import whole
from cardiolabel.io.text_files import decoded

__all__ = ["NAME", "SPLITS", "listing", "patients"]

NAME = "sunnybrook"

SPLITS: dict[str, tuple[str, ...]] = {
    "TRAIN": (
        "SC-HF-I-1",
        "SC-HF-I-2",
        "SC-HF-I-4",
        "SC-HF-I-40",
        "SC-HF-NI-3",
        "SC-HF-NI-4",
        "SC-HF-NI-34",
        "SC-HF-NI-36",
        "SC-HYP-1",
        "SC-HYP-3",
        "SC-HYP-38",
        "SC-HYP-40",
        "SC-N-2",
        "SC-N-3",
        "SC-N-40",
    ),
    "VAL": (
        "SC-HF-I-5",
        "SC-HF-I-6",
        "SC-HF-I-7",
        "SC-HF-I-8",
        "SC-HF-NI-7",
        "SC-HF-NI-11",
        "SC-HF-NI-31",
        "SC-HF-NI-33",
        "SC-HYP-6",
        "SC-HYP-7",
        "SC-HYP-8",
        "SC-HYP-37",
        "SC-N-5",
        "SC-N-6",
        "SC-N-7",
    ),
    "TEST": (
        "SC-HF-I-9",
        "SC-HF-I-10",
        "SC-HF-I-11",
        "SC-HF-I-12",
        "SC-HF-NI-12",
        "SC-HF-NI-13",
        "SC-HF-NI-14",
        "SC-HF-NI-15",
        "SC-HYP-9",
        "SC-HYP-10",
        "SC-HYP-11",
        "SC-HYP-12",
        "SC-N-9",
        "SC-N-10",
        "SC-N-11",
    ),
}
"""Parts of the 2009 challenge: training, validation, and online (here TEST)."""

_TABLES = {"link.csv": ("patient_id", "original_id"), "scd_patientdata.csv": ("PatientID", "OriginalID")}
_SEXES = {"male": "M", "female": "F"}
_CONTOUR_FOLDERS = ("SCD_ManualContours", "contourfiles")
_EXPECTED = (
    "expected SCD_IMAGES_01/SCD0000101/CINESAX_300/IM-0003-0048.dcm with SCD_ManualContours/SC-HF-I-01 and "
    "scd_patientdata.csv, or dicoms/SCD0000101/48.dcm with contourfiles/SC-HF-I-1 and link.csv"
)


@dataclass(frozen=True)
class _Facts:
    """A row of the tables; ``name`` is the original id without padding, ``SC-HF-I-1``."""

    name: str
    sex: str | None = None
    age_years: int | None = None


def listing(root: Path) -> Listing:
    """List ED and ES of every patient with images and contours.

    Parameters
    ----------
    root : Path
        The folder that holds ``SCD_ManualContours`` and the images, or the flattened layout.

    Returns
    -------
    Listing
        Patients who have only one of images and contours are problems. Images and masks are read
        when they are asked for, and raise where a file is broken.

    Raises
    ------
    DatasetError
        Not this layout, or neither ``link.csv`` nor ``scd_patientdata.csv``.
    """
    patients, problems, facts = _scan(root)
    entries = []
    for patient in patients:
        for phase in (Phase.ED, Phase.ES):
            record = Record(
                image_id=f"{patient.name}_{View.SAX}_{phase}",
                patient=patient.name,
                view=View.SAX,
                phase=phase,
                dataset=NAME,
                path=patient.image_folders[0],
                sex=facts[patient.name].sex,
                age_years=facts[patient.name].age_years,
                split=next((part for part, names in SPLITS.items() if patient.name in names), None),
            )
            entries.append(Entry(record, partial(patient.stack, phase), partial(_masks, patient, phase)))
    return Listing(tuple(entries), tuple(problems))


def patients(root: Path) -> list[Patient]:
    """Return the patients with images and contours, in order of their ``SCD…`` number; errors as
    `listing`.
    """
    return _scan(root)[0]


def _masks(patient: Patient, phase: Phase, shape: Shape) -> NDArray[np.uint8]:
    return patient.masks(phase)


def _scan(root: Path) -> tuple[list[Patient], list[tuple[str, str]], dict[str, _Facts]]:
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; {_EXPECTED}")
    images, contours = _image_folders(root), _contours(root)
    if not images and not contours:
        raise DatasetError(f"{root}: found neither images nor contours; {_EXPECTED}")
    table = _table(root)
    patients: list[Patient] = []
    problems: list[tuple[str, str]] = []
    for scd_id, folders in images.items():
        if scd_id not in table:
            problems.append((scd_id, f"not in {' or '.join(_TABLES)} of {root}; download the table again"))
        elif not contours.get(table[scd_id].name):
            problems.append(
                (table[scd_id].name, f"has images ({scd_id}) but no contours; download SCD_ManualContours")
            )
        else:
            patients.append(Patient(table[scd_id].name, folders, contours[table[scd_id].name]))
    drawn_on = {facts.name: scd_id for scd_id, facts in table.items()}
    for name in contours:
        own_id = drawn_on.get(name)
        if own_id is None:
            problems.append(
                (name, f"has contours but is not in {' or '.join(_TABLES)}; download the table again")
            )
        elif own_id not in images:
            problems.append(
                (name, f"has contours but no images; download the SCD_IMAGES_… that holds {own_id}")
            )
    return patients, problems, {facts.name: facts for facts in table.values()}


def _image_folders(root: Path) -> dict[str, tuple[Path, ...]]:
    """Return the folders of DICOM files that may be the cine, by patient."""
    folders: dict[str, tuple[Path, ...]] = {}
    for top in (root / "dicoms", root, *sorted(root.glob("SCD_IMAGES_*"))):
        for folder in sorted(top.glob("SCD[0-9]*")):
            inner = sorted(path for path in folder.glob("CINESAX*") if path.is_dir())
            flat = [folder] if numbered_files(folder) else []
            if inner or flat:
                folders.setdefault(folder.name, tuple(inner or flat))
    return dict(sorted(folders.items()))


def _contours(root: Path) -> dict[str, tuple[ContourFile, ...]]:
    contours: dict[str, tuple[ContourFile, ...]] = {}
    for top in _CONTOUR_FOLDERS:
        for folder in sorted((root / top).glob("SC-*")):
            contours.setdefault(_unpadded(folder.name), contour_files(folder))
    return contours


def _unpadded(name: str) -> str:
    """Return ``SC-HF-I-01`` as the tables write it, ``SC-HF-I-1``."""
    return re.sub(r"-0+(\d)", r"-\1", name)


def _table(root: Path) -> dict[str, _Facts]:
    """Return the facts about each ``SCD…``; the tables complete each other."""
    paths = [root / name for name in _TABLES if (root / name).is_file()]
    if not paths:
        raise DatasetError(
            f"{root}: neither {' nor '.join(_TABLES)}, which say whose contours belong to which images; "
            "download scd_patientdata.csv into it"
        )
    facts_of: dict[str, _Facts] = {}
    for path in paths:
        for scd_id, facts in _rows(path).items():
            other = facts_of.setdefault(scd_id, facts)
            if other.name != facts.name:
                raise DatasetError(
                    f"{path}: {scd_id} is {facts.name}, elsewhere {other.name}; remove a table"
                )
            facts_of[scd_id] = facts
    return facts_of


def _rows(path: Path) -> Mapping[str, _Facts]:
    id_column, name_column = _TABLES[path.name]
    try:
        text = decoded(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read as text ({error}); download it again") from error
    table = csv.DictReader(io.StringIO(text, newline=""))
    if not {id_column, name_column} <= set(table.fieldnames or ()):
        raise DatasetError(
            f"{path}, line 1: expected columns {id_column} and {name_column}; download it again"
        )
    rows = {}
    for row in table:
        scd_id, name = (row[id_column] or "").strip(), (row[name_column] or "").strip()
        if not scd_id or not name:
            raise DatasetError(f"{path}, line {table.line_num}: expected {id_column} and {name_column}")
        rows[scd_id] = _Facts(
            _unpadded(name),
            _SEXES.get((row.get("Gender") or "").strip().lower()),
            _age(row, path, table.line_num),
        )
    return rows


def _age(row: Mapping[str, str | None], path: Path, line: int) -> int | None:
    text = (row.get("Age") or "").strip()
    if not text:
        return None
    try:
        return whole(0, 130)(text)
    except ValueError as error:
        raise DatasetError(f"{path}, line {line}: Age is {text!r}; expected whole years") from error
