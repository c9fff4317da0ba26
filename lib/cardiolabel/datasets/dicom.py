"""A folder of DICOM files as a scanner or a PACS exports them: ultrasound clips and short-axis MR series.

Files are recognised by content, in any subfolder and under any name; a DICOMDIR is passed over, as all files
are looked at anyway. Patients get pseudonyms (`cardiolabel.records.pseudonyms`) unless their names are asked
for. Of a short-axis series, the phases at ED and ES become one stack each.

References
----------
DICOM PS3.3, C.7.1.1 Patient module; PS3.10, section 7 (DICOM file format)
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from pydicom import Dataset

from cardiolabel.datasets.folder import files
from cardiolabel.datasets.listing import Entry, Listing
from cardiolabel.domain import Phase, Record, View
from cardiolabel.errors import DatasetError, ImageContentError, InputError
from cardiolabel.io.dicom_cine import CineSeries, read_series
from cardiolabel.io.dicom_file import read_dataset, readable
from cardiolabel.io.ultrasound_dicom import SUFFIXES, is_dicom, ultrasound
from cardiolabel.records.file_names import clean_id
from cardiolabel.records.pseudonyms import patient_pseudonym
from cardiolabel.records.view_names import named_view

__all__ = ["NAME", "PhaseChoice", "is_dicom_file", "listing", "view_of"]

NAME = "dicom"

PhaseChoice = Callable[[CineSeries], tuple[int, int]]
"""Gives the phases (from 0) at ED and ES of a short-axis cine; raises InputError if they cannot be told."""

_START_BYTES = 132
_DIGITS = 8
_STUDY_LETTERS = 4
_OLDEST = 89
"""Age in years above which none is kept, as so few people are that old (HIPAA Safe Harbor)."""
_TEXTS = ("ViewName", "SeriesDescription", "ProtocolName", "StageName", "ImageComments")
_FEWEST_SLICES = 3


@dataclass
class _Series:
    """Files of one MR series, and what their tags say of the patient."""

    uid: str
    patient: str
    study: str
    sex: str | None
    age_years: int | None
    paths: list[Path] = field(default_factory=list)

    @classmethod
    def of(cls, uid: str, dataset: Dataset, naming: _Naming) -> _Series:
        return cls(uid, naming.patient(dataset), _study(dataset), _sex(dataset), _age_years(dataset))

    def place(self, root: Path) -> str:
        return f"{self.paths[0].relative_to(root).as_posix()} and {len(self.paths) - 1} more"


@dataclass(frozen=True)
class _Naming:
    """How patients are called."""

    key: bytes
    keep_names: bool

    def patient(self, dataset: Dataset) -> str:
        own = str(dataset.get("PatientID") or "").strip()
        if own and self.keep_names:
            return own
        issuer = str(dataset.get("IssuerOfPatientID") or "").strip()
        study = str(dataset.get("StudyInstanceUID") or dataset.get("SOPInstanceUID") or "").strip()
        return patient_pseudonym(f"{issuer}/{own}" if own else f"study/{study}", self.key)

    def apart(self, patient: str, study: str) -> str:
        """Return what a patient is called in one of several studies."""
        return f"{patient}_{patient_pseudonym(f'study/{study}', self.key)[1 : 1 + _STUDY_LETTERS]}"


def listing(root: Path, *, key: bytes, choose_phases: PhaseChoice, keep_names: bool = False) -> Listing:
    """List the ultrasound clips and short-axis stacks in a folder of DICOM files.

    Where a patient has several studies, each is a patient of its own, as their images must not be measured
    together; ``Record.person`` tells whose they are.

    Parameters
    ----------
    root : Path
        The folder, or the DICOMDIR in it.
    key : bytes
        Key of the patients' pseudonyms.
    choose_phases : PhaseChoice
    keep_names : bool
        Use patient ids as they are.

    Returns
    -------
    Listing
        Files that hold no usable image are problems, each with its reason.

    Raises
    ------
    DatasetError
        No such folder, or no DICOM file in it.
    """
    root = root.parent if root.is_file() and root.name.upper() == "DICOMDIR" else root
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; expected one of DICOM files")
    naming = _Naming(key, keep_names)
    entries: dict[str, tuple[Entry, str]] = {}
    problems: list[tuple[str, str]] = []
    series: dict[str, _Series] = {}
    studies: defaultdict[str, set[str]] = defaultdict(set)
    is_empty = True
    for path in filter(is_dicom_file, files(root)):
        is_empty = False
        place = path.relative_to(root).as_posix()
        try:
            with readable(path):
                dataset = read_dataset(path, stop_before_pixels=True)
                if _is_directory(dataset):
                    continue
                studies[naming.patient(dataset)].add(_study(dataset))
                if str(dataset.get("Modality") or "") == "MR" and "Rows" in dataset:
                    uid = str(dataset.get("SeriesInstanceUID") or path.parent)
                    if uid not in series:
                        series[uid] = _Series.of(uid, dataset, naming)
                    series[uid].paths.append(path)
                    continue
                entry = _ultrasound_entry(path, dataset, naming)
            entries.setdefault(
                entry.record.image_id, (entry, _study(dataset))
            )  # the same file again is no other image
        except InputError as error:
            problems.append((place, str(error)))
    if is_empty:
        raise DatasetError(f"{root}: found no DICOM file")
    stacks, refused = _stack_entries(list(series.values()), root, choose_phases)
    several = {patient: uids for patient, uids in studies.items() if len(uids) > 1}
    listed = [
        _apart(entry, study, naming) if entry.record.patient in several else entry
        for entry, study in (*entries.values(), *stacks)
    ]
    notes = tuple(
        (
            patient,
            f"{len(uids)} studies are measured apart, as "
            + ", ".join(sorted(naming.apart(patient, uid) for uid in uids)),
        )
        for patient, uids in several.items()
    )
    return Listing(tuple(listed), (*problems, *refused), notes)


def _apart(entry: Entry, study: str, naming: _Naming) -> Entry:
    patient = entry.record.patient
    record = replace(entry.record, patient=naming.apart(patient, study), person=patient)
    return replace(entry, record=record)


def _study(dataset: Dataset) -> str:
    return str(dataset.get("StudyInstanceUID") or "")


def is_dicom_file(path: Path) -> bool:
    """Return whether a file is DICOM by its content, or by its name though it may be damaged."""
    if path.name.lower().endswith(SUFFIXES):
        return True
    try:
        with path.open("rb") as file:
            return is_dicom(file.read(_START_BYTES))
    except OSError:
        return False


def view_of(path: Path) -> View:
    """Return the view that a file's tags name; unknown if they name none.

    Raises
    ------
    ImageReadError
        No readable DICOM file.
    ImageContentError
        They name a view that no model segments.
    """
    with readable(path):
        return _view(path, read_dataset(path, stop_before_pixels=True))


def _is_directory(dataset: Dataset) -> bool:
    return "DirectoryRecordSequence" in dataset


def _ultrasound_entry(path: Path, dataset: Dataset, naming: _Naming) -> Entry:
    header = ultrasound(dataset, path)
    view = _view(path, dataset)
    patient = naming.patient(dataset)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
    record = Record(
        image_id=f"{clean_id(patient)}_{digest}",
        patient=patient,
        view=view,
        phase=Phase.CINE,
        dataset=NAME,
        path=path,
        frame_rate_hz=round(header.rate_hz, 3) if header.rate_hz and header.frames > 1 else None,
        sex=_sex(dataset),
        age_years=_age_years(dataset),
    )
    return Entry(record, path)


def _view(path: Path, dataset: Dataset) -> View:
    codes = [str(item.get("CodeValue") or "") for item in dataset.get("ViewCodeSequence") or ()]
    view = named_view(codes, [str(dataset.get(name) or "") for name in _TEXTS])
    if isinstance(view, View):
        return view
    if view is not None:
        raise ImageContentError(f"{path.name}: its tags name another view ({view}); expected A2C or A4C")
    return View.UNKNOWN


def _sex(dataset: Dataset) -> str | None:
    sex = str(dataset.get("PatientSex") or "").strip().upper()
    return sex if sex in ("M", "F") else None


def _age_years(dataset: Dataset) -> int | None:
    age = str(dataset.get("PatientAge") or "").strip().upper()
    years = int(age[:-1]) if age.endswith("Y") and age[:-1].isdecimal() else None
    return years if years is not None and years <= _OLDEST else None


def _stack_entries(
    series: list[_Series], root: Path, choose_phases: PhaseChoice
) -> tuple[list[tuple[Entry, str]], list[tuple[str, str]]]:
    """Return ED and ES of the largest short-axis series of each study, and why others are left out."""
    problems: list[tuple[str, str]] = []
    of_study: defaultdict[tuple[str, str], list[tuple[_Series, CineSeries]]] = defaultdict(list)
    for each in series:
        try:
            cine = read_series(each.paths)
            if len(cine.files) < _FEWEST_SLICES or cine.phases < 2:
                raise ImageContentError(
                    f"{len(cine.files)} slices of {cine.phases} phases; expected a short-axis cine"
                )
            of_study[each.patient, each.study].append((each, cine))
        except InputError as error:
            problems.append((each.place(root), str(error)))
    entries = []
    for (_, study), cines in of_study.items():
        cines.sort(key=lambda item: len(item[1].files), reverse=True)
        (largest, cine), *others = cines
        problems += [
            (
                other.place(root),
                f"another short-axis series of this study, of {len(its.files)} slices, beside one of "
                f"{len(cine.files)}, which is taken",
            )
            for other, its in others
        ]
        try:
            ed, es = choose_phases(cine)
        except InputError as error:
            problems.append((largest.place(root), str(error)))
            continue
        entries += [
            (_stack_entry(largest, cine, phase, index), study)
            for phase, index in ((Phase.ED, ed), (Phase.ES, es))
        ]
    return entries, problems


def _stack_entry(series: _Series, cine: CineSeries, phase: Phase, index: int) -> Entry:
    digest = hashlib.sha256(series.uid.encode()).hexdigest()[:_DIGITS]
    record = Record(
        image_id=f"{clean_id(series.patient)}_{digest}_{View.SAX}_{phase}",
        patient=series.patient,
        view=View.SAX,
        phase=phase,
        dataset=NAME,
        path=cine.files[0][0],
        sex=series.sex,
        age_years=series.age_years,
    )
    slices = tuple(
        (paths[index], frames[index]) for paths, frames in zip(cine.files, cine.frames, strict=True)
    )
    return Entry(record, partial(cine.stack, index), files=tuple(cine.places()), slices=slices)
