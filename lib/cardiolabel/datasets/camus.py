"""CAMUS, NIfTI release: ``patientXXXX/patientXXXX_{2CH,4CH}_{ED,ES,half_sequence}[_gt].nii.gz``.

Its ``EF`` field is in the ``camus`` convention (one long-axis length for both phases).

References
----------
Leclerc et al. 2019, doi 10.1109/TMI.2019.2900516
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cardiolabel.datasets.folder import reference_path
from cardiolabel.datasets.info_cfg import read_info_cfg
from cardiolabel.datasets.listing import Entry, Listing
from cardiolabel.domain import Convention, Phase, Record, View
from cardiolabel.errors import DatasetError
from cardiolabel.io.numbers_in_text import real, whole
from cardiolabel.io.text_files import decoded

__all__ = ["LAYOUT", "NAME", "Layout", "ViewInfo", "listing", "listing_of", "read_info"]

NAME = "camus"

SPLIT_FOLDER = "database_split"
_SPLITS = {"training": "TRAIN", "validation": "VAL", "testing": "TEST"}
_VIEWS = {"2CH": View.A2C, "4CH": View.A4C}


@dataclass(frozen=True)
class Layout:
    """File names of one release of CAMUS.

    Parameters
    ----------
    dataset : str
        Name written into the records.
    nested : tuple of str
        Folders that may lie between the given one and the patients' folders.
    suffix : str
        What image files end in.
    phases : mapping of str to Phase
        Words after the view in a file's name.
    ef_key : str
        Field of ``Info_*.cfg`` that holds the ejection fraction in %.
    convention : Convention
        How that ejection fraction was computed.
    """

    dataset: str
    nested: tuple[str, ...]
    suffix: str
    phases: Mapping[str, Phase]
    ef_key: str
    convention: Convention


LAYOUT = Layout(
    dataset=NAME,
    nested=("database_nifti",),
    suffix=".nii.gz",
    phases={"ED": Phase.ED, "ES": Phase.ES, "half_sequence": Phase.CINE},
    ef_key="EF",
    convention=Convention.CAMUS,
)


@dataclass(frozen=True)
class ViewInfo:
    """Content of one view's ``Info_*.cfg``; None where it states nothing.

    Frames are 1-based; ``es_frame`` may come before ``ed_frame``.
    """

    ed_frame: int | None = None
    es_frame: int | None = None
    frames: int | None = None
    frame_rate_hz: float | None = None
    sex: str | None = None
    age_years: int | None = None
    image_quality: str | None = None
    ef_pct: float | None = None


def listing(root: Path) -> Listing:
    """List the images of the release with their reference masks, by patient, view and phase.

    Parameters
    ----------
    root : Path
        The folder of ``patientXXXX`` folders, or the one that holds ``database_nifti``.

    Returns
    -------
    Listing
        Sex, age and EF are the patient's: a view without an ``Info_*.cfg`` takes them from the
        other view's. Frame numbers and frame rate are given for half sequences only. The official split
        is taken from ``database_split/subgroup_*.txt`` in the folder or beside it, where it is there.
        Stills that are missing and malformed ``Info_*.cfg``, whose facts are left out, are problems.

    Raises
    ------
    DatasetError
        Not this layout, or a malformed split.
    """
    return listing_of(root, LAYOUT)


def listing_of(root: Path, layout: Layout) -> Listing:
    """List the images of any release of CAMUS, as `listing`."""
    patients = _patients(root, layout)
    splits = _splits(patients[0].parent)
    entries: list[Entry] = []
    problems: list[tuple[str, str]] = []
    for patient in patients:
        infos = _infos(patient, layout, problems)
        records = [
            replace(record, split=splits.get(record.patient)) for record in _records(patient, layout, infos)
        ]
        entries += [Entry(record, record.path, reference_path(record)) for record in records]
        problems += _missing(patient, layout, {record.image_id for record in records})
    if not entries:
        raise DatasetError(f"{patients[0]}: found {_content(patients[0])}; {_expected(layout)}")
    return Listing(tuple(entries), tuple(problems))


def read_info(path: Path, ef_key: str) -> ViewInfo:
    """Read an ``Info_*.cfg``: lines of ``key: value``; unknown keys are ignored.

    Parameters
    ----------
    path : Path
        The file.
    ef_key : str
        ``EF`` in the NIfTI release, ``LVef`` in the original one.

    Returns
    -------
    ViewInfo

    Raises
    ------
    DatasetError
        A line or a value that cannot be understood; the file and line are named.
    """
    cfg = read_info_cfg(path)
    frames = cfg.value("NbFrame", whole(1), "a number of frames, 1 or more")
    frame = whole(1, frames), f"a frame number, 1 to {frames or 'NbFrame'}"
    return ViewInfo(
        ed_frame=cfg.value("ED", *frame),
        es_frame=cfg.value("ES", *frame),
        frames=frames,
        frame_rate_hz=cfg.value("FrameRate", real(1e-3, 1e5), "frames per second"),
        sex=cfg.value("Sex", str, "text"),
        age_years=cfg.value("Age", whole(0, 150), "whole years"),
        image_quality=cfg.value("ImageQuality", str, "text"),
        ef_pct=cfg.value(ef_key, real(0, 100), "a percentage, 0 to 100"),
    )


def _patients(root: Path, layout: Layout) -> list[Path]:
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; {_expected(layout)}")
    for folder in (root, *(root / name for name in layout.nested)):
        patients = [
            path
            for path in (folder.iterdir() if folder.is_dir() else ())
            if path.is_dir() and re.fullmatch(r"patient\d+", path.name)
        ]
        if patients:
            return sorted(patients)
    raise DatasetError(f"{root}: found {_content(root)}; {_expected(layout)}")


def _splits(folder: Path) -> dict[str, str]:
    """Return the part of the official split of each patient that a list in ``database_split`` names."""
    lists = next(
        (near / SPLIT_FOLDER for near in (folder, folder.parent) if (near / SPLIT_FOLDER).is_dir()), None
    )
    splits: dict[str, str] = {}
    for name, split in _SPLITS.items():
        path = lists / f"subgroup_{name}.txt" if lists else None
        if path and path.is_file():
            try:
                patients = decoded(path.read_bytes()).split()
            except (OSError, ValueError) as error:
                raise DatasetError(f"{path}: cannot be read as a list of patients ({error})") from error
            for patient in patients:
                if splits.setdefault(patient, split) != split:
                    raise DatasetError(f"{path}: {patient} is in another list as well; expected one")
    return splits


def _content(folder: Path) -> str:
    """Return the names of a few files, to show the layout of a folder in a message."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix not in (".cfg", ".md"))
    return (", ".join(names[:3]) + (" and more" if len(names) > 3 else "")) or "nothing"


def _expected(layout: Layout) -> str:
    example = f"patient0001/patient0001_4CH_ED{layout.suffix}"
    return f"{layout.dataset} has {example}, there or in a folder {' or '.join(layout.nested)}"


def _infos(folder: Path, layout: Layout, problems: list[tuple[str, str]]) -> dict[str, ViewInfo]:
    """Read the ``Info_*.cfg`` of each view; malformed ones become problems."""
    infos: dict[str, ViewInfo] = {}
    for code in _VIEWS:
        path = folder / f"Info_{code}.cfg"
        if path.is_file():
            try:
                infos[code] = read_info(path, layout.ef_key)
            except DatasetError as error:
                problems.append((folder.name, f"{error}; the file was left out"))
    return infos


def _missing(folder: Path, layout: Layout, present: Container[str]) -> list[tuple[str, str]]:
    stills = [word for word, phase in layout.phases.items() if phase is not Phase.CINE]
    expected = [f"{folder.name}_{code}_{word}" for code in _VIEWS for word in stills]
    lost = [image_id for image_id in expected if image_id not in present]
    if not lost:
        return []
    first = f"{lost[0]}{layout.suffix}"
    return [(folder.name, f"{len(lost)} stills missing, the first is {first}; download the patient again")]


def _records(folder: Path, layout: Layout, infos: Mapping[str, ViewInfo]) -> Iterator[Record]:
    for code, view in _VIEWS.items():
        info = _with_patient_facts(infos.get(code) or ViewInfo(), infos)
        for word, phase in layout.phases.items():
            path = folder / f"{folder.name}_{code}_{word}{layout.suffix}"
            if path.is_file():
                cine = info if phase is Phase.CINE else ViewInfo()
                yield Record(
                    image_id=f"{folder.name}_{code}_{word}",
                    patient=folder.name,
                    view=view,
                    phase=phase,
                    dataset=layout.dataset,
                    path=path,
                    ed_frame=cine.ed_frame,
                    es_frame=cine.es_frame,
                    frame_rate_hz=cine.frame_rate_hz,
                    sex=info.sex,
                    age_years=info.age_years,
                    image_quality=info.image_quality,
                    reference_ef_pct=info.ef_pct,
                    reference_convention=None if info.ef_pct is None else layout.convention,
                )


def _with_patient_facts(info: ViewInfo, infos: Mapping[str, ViewInfo]) -> ViewInfo:
    """Fill gaps in sex, age and EF, which do not depend on the view, from the other view."""
    for other in infos.values():
        info = replace(
            info,
            sex=info.sex or other.sex,
            age_years=other.age_years if info.age_years is None else info.age_years,
            ef_pct=other.ef_pct if info.ef_pct is None else info.ef_pct,
        )
    return info
