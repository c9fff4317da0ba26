"""DICOM files as scanners write them: ultrasound clips with calibration, and short-axis MR slices.

References
----------
DICOM PS3.3, A.7 Ultrasound Multi-frame Image IOD, C.8.5.5 US Region Calibration module, A.4 MR Image IOD
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    MRImageStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from cardiolabel.domain import VIEWS, Clip, Stack, View
from cardiolabel.errors import ImageContentError
from cardiolabel.io.files import atomic

__all__ = ["Identity", "write_short_axis", "write_ultrasound"]

_MARGIN_PX = (32, 48, 16, 16)
"""Black border above, left of, below and right of the picture, where scanners write text."""
_CM = 3
_LPS_FROM_RAS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Identity:
    """Whose image a file is.

    Parameters
    ----------
    patient : str
        Id and name.
    study : str
        What tells one study of the patient from another; with the patient it decides all UIDs.
    """

    patient: str
    study: str = "1"

    def uid(self, *parts: object) -> UID:
        """Return a UID that is always the same for these parts."""
        return generate_uid(entropy_srcs=[self.patient, self.study, *map(str, parts)])


def write_ultrasound(clip: Clip, path: Path, identity: Identity, *, view: View, number: int = 1) -> None:
    """Write a clip as an ultrasound still or cine, in a frame with a border of burned-in text.

    Parameters
    ----------
    clip : Clip
        Pixels uint8, with a pixel size.
    path : Path
    identity : Identity
    view : View
        A view with a SNOMED CT code is named by it.
    number : int
        The instance's number, which tells the images of a study apart.

    Raises
    ------
    ImageContentError
        The clip has no pixel size, or other pixels than uint8.
    OSError
        The file cannot be written.
    """
    if clip.spacing is None or clip.pixels.dtype != np.uint8:
        raise ImageContentError(f"{path.name}: expected uint8 pixels with a size in mm")
    frames, rows, cols = clip.shape
    top, left, bottom, right = _MARGIN_PX
    framed = np.empty((frames, rows + top + bottom, cols + left + right), np.uint8)
    framed[:] = _border(framed.shape[1:], identity.patient)
    framed[:, top : top + rows, left : left + cols] = clip.pixels
    cine = frames > 1
    dataset = _dataset(identity, UltrasoundMultiFrameImageStorage if cine else UltrasoundImageStorage, number)
    dataset.Modality, dataset.ImageType = "US", ["ORIGINAL", "PRIMARY"]
    dataset.SeriesDescription = VIEWS[view].name
    if cine:
        dataset.NumberOfFrames = frames
        dataset.FrameTime = f"{1000.0 / clip.frame_rate_hz:.6f}" if clip.frame_rate_hz else "0"
        dataset.FrameIncrementPointer = 0x00181063
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = left, top
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = left + cols - 1, top + rows - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = _CM
    region.PhysicalDeltaX, region.PhysicalDeltaY = clip.spacing.col_mm / 10, clip.spacing.row_mm / 10
    dataset.SequenceOfUltrasoundRegions = Items([region])
    if code := VIEWS[view].snomed_code:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "SCT", VIEWS[view].name
        dataset.ViewCodeSequence = Items([item])
    _save(dataset, framed, path)


def write_short_axis(stacks: Sequence[Stack], folder: Path, identity: Identity, *, cycle_ms: float) -> None:
    """Write a short-axis cine as one MR file for each slice and phase.

    Parameters
    ----------
    stacks : sequence of Stack
        One for each phase, of one geometry, with an affine; pixels uint8 or uint16.
    folder : Path
    identity : Identity
    cycle_ms : float
        Length of the cardiac cycle.

    Raises
    ------
    ImageContentError
        A stack has no affine.
    OSError
        A file cannot be written.
    """
    for phase, stack in enumerate(stacks):
        if stack.affine is None:
            raise ImageContentError("a stack without a place in the patient; expected an affine")
        axes = _LPS_FROM_RAS[:, None] * stack.affine[:3, :3]
        directions = axes / np.linalg.norm(axes, axis=0)
        for index, pixels in enumerate(stack.pixels):
            number = index * len(stacks) + phase + 1
            dataset = _dataset(identity, MRImageStorage, number)
            dataset.Modality, dataset.ImageType = "MR", ["ORIGINAL", "PRIMARY", "M"]
            dataset.SeriesDescription = "cine SAX"
            dataset.FrameOfReferenceUID = identity.uid("frame of reference")
            corner = _LPS_FROM_RAS * (stack.affine @ (0, 0, index, 1))[:3]
            dataset.ImagePositionPatient = [f"{value:.4f}" for value in corner]
            dataset.ImageOrientationPatient = [f"{value:.6f}" for value in directions[:, :2].T.ravel()]
            dataset.PixelSpacing = [f"{stack.spacing.row_mm:.6f}", f"{stack.spacing.col_mm:.6f}"]
            dataset.SliceThickness = f"{stack.slice_spacing_mm:.4f}"
            dataset.TriggerTime = f"{phase * cycle_ms / len(stacks):.3f}"
            _save(dataset, pixels[None], folder / f"IM-{number:04d}.dcm")


def _dataset(identity: Identity, kind: UID, number: int) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = kind
    dataset.SOPInstanceUID = identity.uid("instance", number)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = identity.uid("study"), identity.uid("series")
    dataset.PatientID, dataset.PatientName = identity.patient, f"{identity.patient}^"
    dataset.InstanceNumber = number
    return dataset


def _save(dataset: Dataset, pixels: NDArray[np.generic], path: Path) -> None:
    _, rows, cols = pixels.shape
    bits = 8 * pixels.dtype.itemsize
    dataset.Rows, dataset.Columns = rows, cols
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    content = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    with atomic(path) as draft:
        dataset.save_as(draft, enforce_file_format=True)


def _border(shape: tuple[int, ...], text: str) -> NDArray[np.uint8]:
    rows, cols = shape
    picture = Image.new("L", (cols, rows))
    ImageDraw.Draw(picture).text((4, 4), f"{text}  cardiolabel phantom", fill=200)
    return np.asarray(picture)
