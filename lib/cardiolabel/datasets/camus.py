"""CAMUS, NIfTI release: ``patientXXXX/patientXXXX_{2CH,4CH}_{ED,ES,half_sequence}[_gt].nii.gz``.

Its ``EF`` field is in the ``camus`` convention (one long-axis length for both phases).

References
----------
Leclerc et al. 2019, doi 10.1109/TMI.2019.2900516
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from cardiolabel.datasets.folder import reference_path
from cardiolabel.datasets.numbers_in_text import real, whole
from cardiolabel.domain import Convention, Phase, Record, View
from cardiolabel.errors import DatasetError

__all__ = ["LAYOUT", "NAME", "Layout", "ViewInfo", "read_info", "records", "records_of", "reference_path"]

NAME = "camus"

_VIEWS = {"2CH": View.A2C, "4CH": View.A4C}
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Layout:
    """How one release of CAMUS names its files.

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
    """What an ``Info_*.cfg`` tells of one view; None where it is silent.

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


def records(root: Path) -> list[Record]:
    """Images of the release, by patient, view and phase; what is missing is left out.

    Parameters
    ----------
    root : Path
        The folder of ``patientXXXX`` folders, or the one that holds ``database_nifti``.

    Returns
    -------
    list of Record
        Sex, age and EF are the patient's: a view without an ``Info_*.cfg`` takes them from the
        other view's. Frame numbers and frame rate are given for half sequences only.

    Raises
    ------
    DatasetError
        Not this layout, or a malformed ``Info_*.cfg``; the file and line are named.
    """
    return records_of(root, LAYOUT)


def records_of(root: Path, layout: Layout) -> list[Record]:
    """As `records`, for any release of CAMUS."""
    patients = _patients(root, layout)
    found = [record for patient in patients for record in _patient_records(patient, layout)]
    if not found:
        raise DatasetError(f"{patients[0]}: found {_content(patients[0])}; {_expected(layout)}")
    return found


def read_info(path: Path, ef_key: str) -> ViewInfo:
    """Read an ``Info_*.cfg``: lines of ``key: value``, of which unknown keys are passed over.

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
    values: dict[str, tuple[str, str]] = {}
    for number, line in _lines(path):
        key, colon, value = line.partition(":")
        where = f"{path}, line {number}"
        if not colon or not key.strip():
            raise DatasetError(f"{where}: {line!r}; expected a line like 'ED: 1'")
        if key.strip() in values:
            raise DatasetError(f"{where}: a second {key.strip()}; expected one")
        values[key.strip()] = (value.strip(), where)
    if not values:
        raise DatasetError(f"{path}, line 1: empty; expected lines like 'ED: 1'")
    frames = _value(values, "NbFrame", whole(1), "a number of frames, 1 or more")
    frame = whole(1, frames), f"a frame number, 1 to {frames or 'NbFrame'}"
    return ViewInfo(
        ed_frame=_value(values, "ED", *frame),
        es_frame=_value(values, "ES", *frame),
        frames=frames,
        frame_rate_hz=_value(values, "FrameRate", real(1e-3, 1e5), "frames per second"),
        sex=_value(values, "Sex", str, "text"),
        age_years=_value(values, "Age", whole(0, 150), "whole years"),
        image_quality=_value(values, "ImageQuality", str, "text"),
        ef_pct=_value(values, ef_key, real(0, 100), "a percentage, 0 to 100"),
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


def _content(folder: Path) -> str:
    """Names of a few files, to show which layout a folder has."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix not in (".cfg", ".md"))
    return (", ".join(names[:3]) + (" and more" if len(names) > 3 else "")) or "nothing"


def _expected(layout: Layout) -> str:
    example = f"patient0001/patient0001_4CH_ED{layout.suffix}"
    return f"{layout.dataset} has {example}, there or in a folder {' or '.join(layout.nested)}"


def _patient_records(folder: Path, layout: Layout) -> Iterator[Record]:
    configs = {code: folder / f"Info_{code}.cfg" for code in _VIEWS}
    infos = {code: read_info(path, layout.ef_key) for code, path in configs.items() if path.is_file()}
    for code, view in _VIEWS.items():
        own = infos.get(code)
        info = _with_patient_facts(own or ViewInfo(), infos)
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
    """Fill the gaps in sex, age and EF, which do not depend on the view, from the other view."""
    for other in infos.values():
        info = replace(
            info,
            sex=info.sex or other.sex,
            age_years=other.age_years if info.age_years is None else info.age_years,
            ef_pct=other.ef_pct if info.ef_pct is None else info.ef_pct,
        )
    return info


def _lines(path: Path) -> list[tuple[int, str]]:
    """Lines that are not blank, numbered from 1."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{path}, line {line}: expected plain text") from error
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def _value(
    values: Mapping[str, tuple[str, str]], key: str, understand: Callable[[str], _Value], expected: str
) -> _Value | None:
    text, where = values.get(key, ("", ""))
    if not text:
        return None
    try:
        return understand(text)
    except ValueError as error:
        raise DatasetError(f"{where}: {key} is {text!r}; expected {expected}") from error
