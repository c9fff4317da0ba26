"""ACDC: ``{training,testing}/patientXXX/patientXXX_frameNN[_gt].nii.gz``, short-axis MR at ED and ES.

``Info.cfg`` beside the images names which frames are ED and ES. Masks hold `ACDC_LABELS`: 1 right
ventricle, 2 myocardium, 3 LV cavity. The headers' unit is "unknown" and means mm, and many carry an
identity as their affine, so that only ``pixdim`` tells the size of a voxel; prepared files say both in
the affine. The sequence (``patientXXX_4d.nii.gz``) is not needed.

References
----------
Bernard et al. 2018, doi 10.1109/TMI.2018.2837502 (to be cited with any use of the data)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiolabel.datasets.info_cfg import read_info_cfg
from cardiolabel.datasets.listing import Entry, Listing, Shape
from cardiolabel.domain import ACDC_LABELS, Phase, Record, Stack, View
from cardiolabel.errors import DatasetError, ImageContentError
from cardiolabel.io.images import read_image
from cardiolabel.io.mask_files import read_mask_on
from cardiolabel.io.numbers_in_text import real, whole

__all__ = ["NAME", "PatientInfo", "listing", "read_info", "read_stack"]

NAME = "acdc"

_SPLITS = {"training": "TRAIN", "testing": "TEST"}
_EXPECTED = (
    "expected training/patient001/patient001_frame01.nii.gz (or testing/…), there or in a folder database"
)


@dataclass(frozen=True)
class PatientInfo:
    """Content of an ``Info.cfg``; frame numbers count from 1, ``group`` is the diagnosis.

    Groups: ``NOR`` normal, ``MINF`` infarct, ``DCM`` dilated and ``HCM`` hypertrophic cardiomyopathy, ``RV``
    abnormal right ventricle.
    """

    ed_frame: int
    es_frame: int
    frames: int | None = None
    group: str | None = None
    height_cm: float | None = None
    weight_kg: float | None = None


def listing(root: Path) -> Listing:
    """List the images of the release at ED and ES, by part and patient.

    Parameters
    ----------
    root : Path
        The folder that holds ``training`` and ``testing``, or one of these.

    Returns
    -------
    Listing
        ``split`` is TRAIN or TEST by the folder that a patient lies in. A patient whose ``Info.cfg``
        cannot be used is a problem; images that it names but that are missing are entries that
        raise when they are read.

    Raises
    ------
    DatasetError
        Not this layout.
    """
    entries: list[Entry] = []
    problems: list[tuple[str, str]] = []
    for folder in _patients(root):
        try:
            entries += _patient_entries(folder)
        except DatasetError as error:
            problems.append((folder.name, str(error)))
    return Listing(tuple(entries), tuple(problems))


def read_info(path: Path) -> PatientInfo:
    """Read an ``Info.cfg``.

    Raises
    ------
    DatasetError
        It is missing, or a line or value cannot be understood; file and line are named.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: missing; download the patient again")
    cfg = read_info_cfg(path)
    frames = cfg.value("NbFrame", whole(1), "a number of frames, 1 or more")
    frame = whole(1, frames), f"a frame number, 1 to {frames or 'NbFrame'}"
    return PatientInfo(
        ed_frame=cfg.required("ED", *frame),
        es_frame=cfg.required("ES", *frame),
        frames=frames,
        group=cfg.value("Group", str, "text"),
        height_cm=cfg.value("Height", real(20, 260), "a height in cm"),
        weight_kg=cfg.value("Weight", real(1, 400), "a weight in kg"),
    )


def read_stack(path: Path) -> Stack:
    """Read one of ACDC's images ``(x, y, z)`` as a stack.

    Raises
    ------
    ImageReadError, ImageContentError
        The file is missing, broken, no stack, or declares no sizes.
    """
    image = read_image(path)
    spacing, apart_mm = image.grid.spacing, image.grid.slice_spacing_mm
    if spacing is None or apart_mm is None:
        raise ImageContentError(f"{path.name}: its header has no voxel size; download the patient again")
    return Stack(image.clip.pixels, spacing, apart_mm)


def _patients(root: Path) -> list[Path]:
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; {_EXPECTED}")
    for top in (root, root / "database"):
        folders = [top, *(top / part for part in _SPLITS)]
        patients = [path for folder in folders for path in _patient_folders(folder)]
        if patients:
            return patients
    names = sorted(path.name for path in root.iterdir())
    shown = (", ".join(names[:3]) + (" and more" if len(names) > 3 else "")) or "nothing"
    raise DatasetError(f"{root}: found {shown}; {_EXPECTED}")


def _patient_folders(folder: Path) -> list[Path]:
    paths = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in paths if path.is_dir() and re.fullmatch(r"patient\d+", path.name))


def _patient_entries(folder: Path) -> Iterator[Entry]:
    info = read_info(folder / "Info.cfg")
    frames = {Phase.ED: info.ed_frame, Phase.ES: info.es_frame}
    images = {phase: folder / f"{folder.name}_frame{number:02d}.nii.gz" for phase, number in frames.items()}
    masks = {
        phase: path.with_name(path.name.replace(".nii.gz", "_gt.nii.gz")) for phase, path in images.items()
    }
    split = _SPLITS.get(folder.parent.name)
    # The testing part was first released without any masks; half of them missing is a broken download.
    annotated = split == "TRAIN" or any(path.is_file() for path in masks.values())
    for phase, path in images.items():
        record = Record(
            image_id=f"{folder.name}_{View.SAX}_{phase}",
            patient=folder.name,
            view=View.SAX,
            phase=phase,
            dataset=NAME,
            path=path,
            split=split,
        )
        named = f"Info.cfg names frame {frames[phase]} as {phase}"
        yield Entry(
            record,
            partial(_image, path, named),
            partial(_masks, masks[phase], path, named) if annotated else None,
        )


def _image(path: Path, named: str) -> Stack:
    _require(path, named)
    return read_stack(path)


def _masks(path: Path, image: Path, named: str, shape: Shape) -> NDArray[np.uint8]:
    _require(path, named)
    return read_mask_on(path, read_image(image).grid, ACDC_LABELS, stack=True)


def _require(path: Path, named: str) -> None:
    if not path.is_file():
        raise DatasetError(f"{path}: missing, though {named}; download the patient again")
