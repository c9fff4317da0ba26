"""Tiny single-frame MR files, as a scanner writes one for each slice and phase."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)
"""Row and column directions of an image plane; its normal is (-0.6, 0.8, 0)."""

NORMAL = np.array([-0.6, 0.8, 0.0])


def write_dicom(
    path: Path,
    pixels: NDArray[Any],
    *,
    position_mm: Sequence[float],
    trigger_ms: float | None,
    instance: int,
    row_col_mm: tuple[float, float] = (1.5, 1.2),
    orientation: Sequence[float] = OBLIQUE,
    **tags: object,
) -> Path:
    """Write one image; a tag given as None is left out."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.Modality, file.PhotometricInterpretation, file.SamplesPerPixel = "MR", "MONOCHROME2", 1
    file.Rows, file.Columns = pixels.shape
    file.BitsAllocated = file.BitsStored = 16
    file.HighBit, file.PixelRepresentation = 15, 1
    file.PixelSpacing = [str(size) for size in row_col_mm]
    file.ImagePositionPatient = [f"{value:.3f}" for value in position_mm]
    file.ImageOrientationPatient = [f"{value:.6f}" for value in orientation]
    file.SliceLocation = "-999.0"  # of no use in the real data either
    file.InstanceNumber = str(instance)
    if trigger_ms is not None:
        file.TriggerTime = str(trigger_ms)
    file.PixelData = pixels.astype("<i2").tobytes()
    for name, value in tags.items():
        if value is None:
            delattr(file, name)
        else:
            setattr(file, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save_as(path, enforce_file_format=True)
    return path


def numbered(number: int, shape: tuple[int, int] = (6, 5)) -> NDArray[np.int16]:
    """Pixels that say which file they are of, and which way up they are."""
    return (100 * number + np.arange(shape[0] * shape[1]).reshape(shape)).astype(np.int16)


def write_cine(
    folder: Path, *, slices: int = 3, phases: int = 4, apart_mm: float = 8.0, name: str = "{number}.dcm"
) -> list[Path]:
    """A cine whose files count slices down and phases up, as the real ones do."""
    written = []
    for index in range(slices):
        for phase in range(phases):
            number = (slices - 1 - index) * phases + phase + 1
            written.append(
                write_dicom(
                    folder / name.format(number=number),
                    numbered(number),
                    position_mm=np.array([10.0, 20.0, 30.0]) + index * apart_mm * NORMAL,
                    trigger_ms=20.0 + 40.0 * phase,
                    instance=number,
                )
            )
    return written


def write_enhanced(path: Path, classic: Sequence[Path]) -> Path:
    """Join the files of a cine into one enhanced MR file, whose frames come in the order of the files."""
    parts = [dcmread(file) for file in classic]
    file = dcmread(classic[0])
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "TriggerTime"):
        delattr(file, name)
    file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    file.NumberOfFrames = len(parts)
    file.PixelData = b"".join(part.PixelData for part in parts)
    shared = Dataset()
    shared.PlaneOrientationSequence = Items([item(ImageOrientationPatient=parts[0].ImageOrientationPatient)])
    shared.PixelMeasuresSequence = Items([item(PixelSpacing=parts[0].PixelSpacing)])
    file.SharedFunctionalGroupsSequence = Items([shared])
    frames = []
    for part in parts:
        frame = Dataset()
        frame.PlanePositionSequence = Items([item(ImagePositionPatient=part.ImagePositionPatient)])
        delay = item(NominalCardiacTriggerDelayTime=float(part.TriggerTime))
        frame.CardiacSynchronizationSequence = Items([delay])
        frame.PixelValueTransformationSequence = Items([item(RescaleSlope="2", RescaleIntercept="1")])
        frames.append(frame)
    file.PerFrameFunctionalGroupsSequence = Items(frames)
    file.save_as(path)
    return path


def item(**tags: object) -> Dataset:
    dataset = Dataset()
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset
