"""Phantom apical echo studies: speckle images of a ventricle whose volumes are known exactly."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiolabel.datasets.phantom_geometry import Beat, Heart, Sector
from cardiolabel.datasets.phantom_scanner import Scanner
from cardiolabel.datasets.phantom_short_axis import short_axis
from cardiolabel.domain import Clip, Phase, Record, Spacing, View
from cardiolabel.errors import DatasetError
from cardiolabel.io.dicom_writer import Identity, write_short_axis, write_ultrasound
from cardiolabel.io.nifti import write_clip, write_mask, write_stack
from cardiolabel.io.video_writer import write_mp4
from cardiolabel.records import manifest
from cardiolabel.records.layout import StudiesLayout, file_of

__all__ = [
    "SCANNER_MM_PER_PIXEL",
    "PhantomImage",
    "PhantomStudy",
    "PhantomTruth",
    "SampleFormat",
    "make_study",
    "write_sample",
]

VIEW_NAMES = {View.A4C: "4CH", View.A2C: "2CH"}
SYSTOLE = 0.36
SAMPLE_GRIDS = (
    ((384, 468), Spacing(row_mm=0.39, col_mm=0.415)),
    ((256, 320), Spacing(row_mm=0.58, col_mm=0.58)),
    ((240, 340), Spacing(row_mm=0.62, col_mm=0.55)),
    ((460, 596), Spacing(row_mm=0.308, col_mm=0.308)),
)


SCANNER_MM_PER_PIXEL = 0.58
"""Side of a pixel in the samples that are no NIfTI; videos do not state it."""


class SampleFormat(StrEnum):
    """Kind of file that a sample is written as."""

    NIFTI = "nifti"
    DICOM = "dicom"
    MP4 = "mp4"


@dataclass(frozen=True)
class PhantomTruth:
    """Exact volumes of one phantom, and its long axes per view and phase."""

    patient: str
    edv_ml: float
    esv_ml: float
    ef_pct: float
    length_a4c_ed_mm: float
    length_a2c_ed_mm: float
    length_a4c_es_mm: float
    length_a2c_es_mm: float


@dataclass(frozen=True, eq=False)
class PhantomImage:
    """One image of a phantom with its true masks.

    ``masks`` has the clip's shape (T, H, W) and CAMUS label values. ``ed_frame`` and ``es_frame``
    are 1-based and given for a cine only.
    """

    image_id: str
    view: View
    phase: Phase
    clip: Clip
    masks: NDArray[np.uint8]
    ed_frame: int | None = None
    es_frame: int | None = None


@dataclass(frozen=True, eq=False)
class PhantomStudy:
    """All images of one phantom, its heart and its truth."""

    truth: PhantomTruth
    images: tuple[PhantomImage, ...]
    heart: Heart


def make_study(
    patient: str,
    *,
    seed: int,
    frames: int = 24,
    frame_rate_hz: float = 24.0,
    shape: tuple[int, int] = (384, 468),
    spacing: Spacing,
    cine: bool = True,
) -> PhantomStudy:
    """Generate one phantom patient in A4C and A2C: stills at ED and ES and, on request, a cine of each view.

    Parameters
    ----------
    patient : str
        Name of the patient and start of the image ids; it does not change the pixels.
    seed : int
        Decides everything that is random, 0 or more.
    frames, frame_rate_hz
        Length of a cine and its rate in Hz. The first frame is end-diastole.
    shape : tuple of int
        (rows, cols) of every image.
    spacing : Spacing
        Pixel size, mm. A field less than about 130 mm deep does not hold the ventricle.
    cine : bool
        Whether to make the cines; the stills are the same with and without.

    Raises
    ------
    ValueError
        A field of view too small for the ventricle, or too few frames to reach end-systole.
    """
    rng = np.random.default_rng((seed, 0))
    heart = Heart.draw(rng)
    if not frame_rate_hz > 0:
        raise ValueError(f"frame_rate_hz must be positive, got {frame_rate_hz}")
    cycle_frames = 60.0 / float(rng.uniform(58.0, 80.0)) * frame_rate_hz
    es_frame = 1 + max(round(SYSTOLE * cycle_frames), 1)
    if not es_frame <= frames or es_frame > cycle_frames:
        raise ValueError(f"{frames} frames at {frame_rate_hz} Hz miss end-systole; it needs {es_frame}")
    beat = Beat(cycle_frames, es_frame)
    frame_numbers = range(1, frames + 1) if cine else (1, es_frame)
    images: list[PhantomImage] = []
    for index, (view, name) in enumerate(VIEW_NAMES.items(), start=1):
        scanner = Scanner(view, Sector(shape, spacing), seed=(seed, index))
        pixels, masks = scanner.record(heart, beat, numbers=frame_numbers)
        for phase, at in ((Phase.ED, 0), (Phase.ES, frame_numbers.index(es_frame))):
            still = Clip(pixels[at : at + 1].copy(), spacing)
            images.append(
                PhantomImage(f"{patient}_{name}_{phase}", view, phase, still, masks[at : at + 1].copy())
            )
        if cine:
            clip = Clip(pixels, spacing, frame_rate_hz)
            images.append(PhantomImage(f"{patient}_{name}_cine", view, Phase.CINE, clip, masks, 1, es_frame))
    edv_ml, esv_ml = heart.volume_ml(0.0), heart.volume_ml(1.0)
    lengths_mm = (*heart.lengths_mm(0.0), *heart.lengths_mm(1.0))
    truth = PhantomTruth(patient, edv_ml, esv_ml, heart.ef_pct, *lengths_mm)
    return PhantomStudy(truth, tuple(images), heart)


def write_sample(
    dest: Path,
    *,
    patients: int = 4,
    seed: int = 0,
    kind: SampleFormat = SampleFormat.NIFTI,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a studies folder of phantoms, with ``truth.csv`` and the true masks in ``truth/``.

    As NIfTI the second patient has cines beside the stills, the third cines only, the others stills only. As
    DICOM every patient has ultrasound cines and a short-axis MR series, as MP4 cines; what is written then is
    no studies folder, but what `cardiolabel prepare` makes one from.

    Parameters
    ----------
    dest : Path
        Folder to fill; made where it does not exist.
    patients : int
        How many, 1 or more.
    seed : int
        Decides everything that is random, 0 or more.
    kind : SampleFormat

    Raises
    ------
    ValueError
        Fewer than one patient.
    DatasetError
        ``dest`` already is a studies folder.
    ImageReadError
        MP4 is asked for and PyAV is not installed.
    OSError
        The folder cannot be written.
    """
    if patients < 1:
        raise ValueError(f"patients must be 1 or more, got {patients}")
    if StudiesLayout(dest).manifest.exists():
        raise DatasetError(f"{dest} is a studies folder already; choose a new folder")
    records: list[Record] = []
    truths = []
    for index, study_seed in enumerate(np.random.SeedSequence(seed).generate_state(patients)):
        patient, cine, cine_only = f"phantom{index + 1:02d}", index in (1, 2), index == 2
        shape, spacing = SAMPLE_GRIDS[index % len(SAMPLE_GRIDS)]
        if kind is not SampleFormat.NIFTI:
            shape, spacing = (256, 320), Spacing(SCANNER_MM_PER_PIXEL, SCANNER_MM_PER_PIXEL)
            cine = cine_only = True
        study = make_study(patient, seed=int(study_seed), shape=shape, spacing=spacing, cine=cine)
        truths.append(study.truth)
        if kind is not SampleFormat.NIFTI:
            _write_cines(study, dest, kind, seed=int(study_seed))
            if progress is not None:
                progress(index + 1, patients)
            continue
        for image in study.images:
            if cine_only and image.phase is not Phase.CINE:
                continue
            path = StudiesLayout(dest).image(image.image_id)
            write_clip(image.clip, path)
            write_mask(image.masks, dest / "truth" / path.name, spacing=spacing)
            name = (image.image_id, patient, image.view, image.phase)
            rate_hz = image.clip.frame_rate_hz
            records.append(Record(*name, "phantom", path, image.ed_frame, image.es_frame, rate_hz))
        if progress is not None:
            progress(index + 1, patients)
    if records:
        manifest.write(records, dest)
    with (dest / "truth.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(PhantomTruth)], lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(truth) for truth in truths)


def _write_cines(study: PhantomStudy, dest: Path, kind: SampleFormat, *, seed: int) -> None:
    """Write a study as a scanner would, and the true masks under the names of its files."""
    patient = study.truth.patient
    cines = [image for image in study.images if image.phase is Phase.CINE]
    for number, image in enumerate(cines, start=1):
        write_mask(image.masks, file_of(dest / "truth", image.image_id), spacing=image.clip.spacing)
        if kind is SampleFormat.MP4:
            write_mp4(image.clip, dest / f"{image.image_id}.mp4")
        else:
            path = dest / "DICOM" / patient / f"{image.image_id}.dcm"
            write_ultrasound(image.clip, path, Identity(patient), view=image.view, number=number)
    if kind is SampleFormat.DICOM:
        series = short_axis(study.heart, seed=(seed, len(VIEW_NAMES) + 1))
        identity = Identity(patient, "MR")
        write_short_axis(series.stacks, dest / "DICOM" / patient / "SAX", identity, cycle_ms=900.0)
        for phase, index in ((Phase.ED, 0), (Phase.ES, series.es_phase)):
            mask = replace(series.stacks[index], pixels=series.masks[index])
            write_stack(mask, file_of(dest / "truth", f"{patient}_{View.SAX}_{phase}"))
