"""Ultrasound DICOM: stills and cines, cropped to the tissue and grey, frame by frame.

Frames are decoded one at a time by pydicom's decoders. Colour becomes luma, which for JPEG is the stored
channel itself. The picture outside the calibrated tissue region (text, scales, the ECG) is never returned.

References
----------
DICOM PS3.3, A.7 Ultrasound Multi-frame Image IOD, C.7.6.5 Cine module and C.7.6.3 Image Pixel module,
https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_A.7.html
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import (
    JPEG2000,
    JPEG2000MC,
    JPEG2000Lossless,
    JPEG2000MCLossless,
    JPEGBaseline8Bit,
)

from cardiolabel.domain import Clip, Spacing
from cardiolabel.errors import ImageContentError
from cardiolabel.io.dicom_file import opened, readable
from cardiolabel.io.frame_times import uneven_spacing
from cardiolabel.io.grid import Grid
from cardiolabel.io.image_file import ImageFile, ImageHeader
from cardiolabel.io.limits import pixel_bytes
from cardiolabel.io.luma import chroma, is_colour_picture, luma
from cardiolabel.io.ultrasound_regions import TissueRegion, tissue_region
from cardiolabel.system.memory_budget import budget

__all__ = ["SUFFIXES", "Ultrasound", "image_header", "is_dicom", "read", "ultrasound"]

SUFFIXES = (".dcm", ".dicom", ".dic")

_MAGIC_AT, _MAGIC = 128, b"DICM"
_RATES_HZ = (1.0, 1000.0)
_JPEG2000 = (JPEG2000, JPEG2000Lossless, JPEG2000MC, JPEG2000MCLossless)
_YBR = ("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420")
_CODEC_YBR = ("YBR_ICT", "YBR_RCT")
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR_FRAMES = 3
"""Number of frames, spread over a cine, in which colour is looked for."""


@dataclass(frozen=True)
class Ultrasound:
    """What the tags of an ultrasound file say of its pixels.

    Parameters
    ----------
    frames : int
    region : TissueRegion
    rate_hz : float or None
        Frames per second, where the file tells it.
    timing : str
        What to know of unevenly spaced frames; empty where they are evenly spaced.
    photometric : str
        Meaning of the decoded samples.
    bits : int
        Bits that a sample uses.
    dtype : dtype
        Of the grey pixels.
    transfer_syntax : str
    """

    frames: int
    region: TissueRegion
    rate_hz: float | None
    timing: str
    photometric: str
    bits: int
    dtype: np.dtype[np.generic]
    transfer_syntax: str

    @property
    def grid(self) -> Grid:
        """Where the cropped pixels lie; the origin is the corner of the whole frame."""
        rows, columns = self.region.box.shape
        shape = (columns, rows) if self.frames == 1 else (columns, rows, self.frames)
        spacing = self.region.spacing
        return Grid(shape, np.zeros((4, 4)) if spacing is None else self._affine(spacing))

    def _affine(self, spacing: Spacing) -> NDArray[np.float64]:
        step = 1.0 / self.rate_hz if self.rate_hz and self.frames > 1 else 1.0
        affine = np.diag([-spacing.col_mm, -spacing.row_mm, step, 1.0])
        affine[:2, 3] = (-spacing.col_mm * self.region.box.left, -spacing.row_mm * self.region.box.top)
        return affine


def is_dicom(start: bytes) -> bool:
    """Return whether a file that begins with these bytes is DICOM."""
    return start[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] == _MAGIC


def image_header(path: Path) -> ImageHeader:
    """Read the size of an ultrasound image from its tags; errors as `read`."""
    with readable(path), opened(path) as stream:
        header = _ultrasound(dcmread(stream, stop_before_pixels=True), path)
    bytes_each = header.dtype.itemsize
    frames_bytes = pixel_bytes(path.name, header.grid.frames_shape, bytes_each=bytes_each)
    return ImageHeader(header.grid, bytes_each, frames_bytes + path.stat().st_size)


def read(path: Path) -> ImageFile:
    """Read an ultrasound still or cine.

    Returns
    -------
    ImageFile
        Pixels ``(T, H, W)`` of the tissue region, the pixel size in mm and the frame rate in Hz where the
        file states them; its note says why there is no size, or that frames are unevenly spaced in time.

    Raises
    ------
    ImageReadError
        The file is missing, truncated, damaged or no DICOM file, or no decoder knows its compression.
    ImageContentError
        It holds no image, another modality's, colour Doppler, M-mode, a spectrum, or two pictures.
    TooLargeError, OverloadedError
        Reading it takes more memory than the limit, or than is left now.
    """
    with readable(path), opened(path) as stream:
        dataset = dcmread(stream, stop_before_pixels=True)
        header = _ultrasound(dataset, path)
        grid = header.grid
        needed = pixel_bytes(path.name, grid.frames_shape, bytes_each=header.dtype.itemsize)
        with budget.reserved(path.name, needed + path.stat().st_size):
            stream.seek(0)
            with closing(iter_pixels(stream, raw=True, decoding_plugin=_plugin(header))) as frames:  # type: ignore[type-var]  # a generator
                pixels = _pixels(frames, dataset, header, path)
    clip = Clip(pixels, header.region.spacing, frame_rate_hz=header.rate_hz if header.frames > 1 else None)
    return ImageFile(clip, grid, note="; ".join(filter(None, (header.region.problem, header.timing))))


def ultrasound(dataset: Dataset, path: Path) -> Ultrasound:
    """Return what a data set says of its pixels; errors as `read`, for the caller's `readable`."""
    return _ultrasound(dataset, path)


def _plugin(header: Ultrasound) -> str:
    """Choose the fastest decoder; else pydicom tries all that are installed."""
    return "pillow" if header.transfer_syntax == JPEGBaseline8Bit else ""


def _ultrasound(dataset: Dataset, path: Path) -> Ultrasound:
    if "Rows" not in dataset or "Columns" not in dataset:
        kind = getattr(dataset.get("SOPClassUID"), "name", "") or "no image"
        raise ImageContentError(f"{path.name}: holds no image ({kind}); expected an ultrasound picture")
    modality = str(dataset.get("Modality") or "unknown")
    if modality != "US":
        raise ImageContentError(
            f"{path.name}: is of modality {modality[:16]}; expected ultrasound, or a short-axis MR series"
        )
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    frames = int(dataset.get("NumberOfFrames") or 1)
    bits, signed = int(dataset.get("BitsStored") or 8), bool(dataset.get("PixelRepresentation") or 0)
    photometric = str(dataset.get("PhotometricInterpretation") or "")
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", ""))
    if photometric not in (*_GREY, *_YBR, *_CODEC_YBR, "RGB", "PALETTE COLOR"):
        raise ImageContentError(f"{path.name}: samples of {photometric[:32]!r} have no known meaning")
    if photometric in _CODEC_YBR and syntax in _JPEG2000:
        photometric = "RGB"  # the decoder undoes it
    grey_bits = 8 if photometric == "PALETTE COLOR" else bits
    dtype = np.dtype(f"{'i' if signed else 'u'}{1 if grey_bits <= 8 else 2}")
    if min(rows, columns, frames) < 1:
        raise ImageContentError(f"{path.name}: {frames} frames of {columns} x {rows} pixels")
    pixel_bytes(path.name, (frames, rows, columns), bytes_each=dtype.itemsize)
    try:
        region = tissue_region(dataset, rows, columns)
    except ImageContentError as error:
        raise ImageContentError(f"{path.name}: {error}") from None
    timing = uneven_spacing(_steps_ms(dataset)) if frames > 1 else ""
    return Ultrasound(frames, region, _rate_hz(dataset), timing, photometric, bits, dtype, syntax)


def _pixels(
    frames: Iterator[NDArray[np.generic]], dataset: Dataset, header: Ultrasound, path: Path
) -> NDArray[np.generic]:
    rows, columns = header.region.box.shape
    pixels = np.empty((header.frames, rows, columns), header.dtype)
    looked_at = set(np.linspace(0, header.frames - 1, _COLOUR_FRAMES).astype(int).tolist())
    colourful = count = 0
    for index, frame in enumerate(frames):
        if index >= header.frames:
            break
        tissue = frame[header.region.box.slices]
        if header.photometric == "PALETTE COLOR":
            tissue = _looked_up(tissue, dataset)
        if tissue.ndim == 3:
            is_ybr = header.photometric in _YBR
            if index in looked_at:
                colourful += is_colour_picture(luma(tissue, is_ybr=is_ybr), chroma(tissue, is_ybr=is_ybr))
            tissue = luma(tissue, is_ybr=is_ybr)
        elif header.photometric == "MONOCHROME1":
            tissue = (2**header.bits - 1) - tissue
        pixels[index] = tissue
        count += 1
    if count < header.frames:
        raise ImageContentError(f"{path.name}: holds {count} of {header.frames} frames; copy it again")
    if colourful == len(looked_at):
        raise ImageContentError(
            f"{path.name}: shows colour Doppler or another colour picture; expected grey tissue"
        )
    return pixels


def _looked_up(frame: NDArray[np.generic], dataset: Dataset) -> NDArray[np.generic]:
    """Return the colours of a palette's indices, 8 bits each."""
    colours = apply_color_lut(frame, dataset)
    return (colours >> 8).astype(np.uint8) if colours.dtype.itemsize > 1 else colours


def _steps_ms(dataset: Dataset) -> list[float]:
    """Return the times between frames where the file lists them; the first entry is the first frame's."""
    listed = dataset.get("FrameTimeVector")
    steps = [float(step) for step in ([] if listed is None else np.atleast_1d(listed))]
    return steps[1:]


def _rate_hz(dataset: Dataset) -> float | None:
    """Return the mean frame rate; the tag that the file's pointer names counts first."""
    steps_ms = _steps_ms(dataset)
    frame_ms = dataset.get("FrameTime") or dataset.get("ActualFrameDuration")
    rates = [
        1000.0 * len(steps_ms) / sum(steps_ms) if sum(steps_ms) > 0 else None,
        1000.0 / float(frame_ms) if frame_ms and float(frame_ms) > 0 else None,
        *(float(dataset.get(name) or 0) for name in ("CineRate", "RecommendedDisplayFrameRate")),
    ]
    low, high = _RATES_HZ
    return next((rate for rate in rates if rate is not None and low <= rate <= high), None)
