"""De-identification of pixels: everything outside the calibrated ultrasound regions becomes black."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from cardiolabel.errors import ImageContentError
from cardiolabel.io.limits import pixel_bytes
from cardiolabel.io.luma import chroma, grey, is_colour_picture

__all__ = ["blank_outside_regions", "frames_of"]

_CORNERS = ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")


def frames_of(dataset: Dataset, path: Path) -> NDArray[np.generic]:
    """Return the decoded frames, (T, H, W) or (T, H, W, 3); palettes become colours.

    Raises
    ------
    TooLargeError
        They take more memory than the limit.
    """
    frames, samples = int(dataset.get("NumberOfFrames") or 1), int(dataset.get("SamplesPerPixel") or 1)
    shape = frames, int(dataset.Rows), int(dataset.Columns), max(samples, 3)
    pixel_bytes(path.name, shape, bytes_each=int(dataset.BitsAllocated) // 8)
    pixels: NDArray[np.generic] = dataset.pixel_array
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        from pydicom.pixels.processing import apply_color_lut

        colours = apply_color_lut(pixels, dataset)
        pixels = (colours >> 8).astype(np.uint8) if colours.dtype.itemsize > 1 else colours
    return pixels[None] if frames == 1 else pixels


def blank_outside_regions(dataset: Dataset, path: Path) -> NDArray[np.generic]:
    """Blacken the pixels outside all ultrasound regions, and store the frames with lossless compression.

    Grey pictures that were stored as colour become grey ones. Call it within `readable`.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Is changed.
    path : Path
        Its file, for messages.

    Returns
    -------
    ndarray, shape (T, H, W) or (T, H, W, 3)
        What is left.

    Raises
    ------
    ImageContentError
        The file states no region, or one that does not fit its frames.
    """
    rows, cols = int(dataset.Rows), int(dataset.Columns)
    shown = np.zeros((rows, cols), dtype=np.bool_)
    for region in dataset.get("SequenceOfUltrasoundRegions") or ():
        corners = [region.get(name) for name in _CORNERS]
        if None in corners:
            continue
        left, top, right, bottom = (int(corner) for corner in corners)
        if not (0 <= left < right <= cols and 0 <= top < bottom <= rows):
            raise ImageContentError(
                f"{path.name}: an ultrasound region does not fit its {cols} x {rows} frames"
            )
        shown[top : bottom + 1, left : right + 1] = True
    if not shown.any():
        raise ImageContentError(
            f"{path.name}: states no ultrasound region, so that text cannot be told from image"
        )
    pixels = frames_of(dataset, path).copy()
    pixels[:, ~shown] = 0
    if pixels.ndim == 4 and pixels.dtype == np.uint8:
        middle = pixels[len(pixels) // 2]
        if not is_colour_picture(grey(middle), chroma(middle, is_ybr=False)):
            pixels = np.stack([grey(frame) for frame in pixels])
    _store(dataset, pixels)
    return pixels


def _store(dataset: Dataset, pixels: NDArray[np.generic]) -> None:
    is_colour = pixels.ndim == 4
    dataset.SamplesPerPixel = 3 if is_colour else 1
    dataset.PhotometricInterpretation = "RGB" if is_colour else _grey_kind(dataset)
    for name in list(dataset.dir("Palette")):
        delattr(dataset, name)
    if is_colour:
        dataset.PlanarConfiguration = 0
    elif "PlanarConfiguration" in dataset:
        del dataset.PlanarConfiguration
    bits = 8 * pixels.dtype.itemsize
    if bits != dataset.BitsAllocated:
        dataset.BitsAllocated = dataset.BitsStored = bits
        dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    frames = np.ascontiguousarray(pixels if len(pixels) > 1 else pixels[0])
    dataset.compress(RLELossless, frames, generate_instance_uid=False)


def _grey_kind(dataset: Dataset) -> str:
    kind = str(dataset.PhotometricInterpretation)
    return kind if kind.startswith("MONOCHROME") else "MONOCHROME2"
