"""Regions of an ultrasound picture: where the tissue is shown, and how large its pixels are.

References
----------
DICOM PS3.3, C.8.5.5 US Region Calibration module,
https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.8.5.5.html
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import Dataset

from cardiolabel.domain import Spacing
from cardiolabel.errors import ImageContentError

__all__ = ["Box", "TissueRegion", "tissue_region"]

_TWO_D, _TISSUE, _COLOUR_FLOW, _CM = 1, 1, 2, 3
"""Codes: spatial format 2-D, data types tissue and colour flow, physical unit centimetre."""

_OTHER_FORMATS = {2: "M-mode", 3: "spectral Doppler", 4: "a waveform", 5: "graphics"}
_CORNERS = ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")
_DELTAS = ("PhysicalDeltaX", "PhysicalDeltaY")
_UNITS = ("PhysicalUnitsXDirection", "PhysicalUnitsYDirection")

_PIXEL_MM = (0.02, 5.0)
"""Pixel sizes in mm that an echo can have: 60 mm over 3000 pixels to 300 mm over 60."""

_MUCH_LARGER = 4.0
"""Ratio of areas from which the smaller of two tissue regions is an inset, not a second picture."""

_SAME_SIZE = 1e-3
"""Relative difference of pixel sizes that rounding explains."""

_SMALLEST_PX = 32
"""Side in pixels below which a region cannot show a heart."""


@dataclass(frozen=True)
class Box:
    """Part of a frame: rows ``top`` to ``bottom - 1``, columns ``left`` to ``right - 1``."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of these rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True)
class TissueRegion:
    """The part of a frame that shows 2-D tissue.

    Parameters
    ----------
    box : Box
        The whole frame where the file does not tell.
    spacing : Spacing or None
        Size of a pixel, where the file tells it.
    problem : str
        Why there is no size.
    """

    box: Box
    spacing: Spacing | None
    problem: str = ""


def tissue_region(dataset: Dataset, rows: int, columns: int) -> TissueRegion:
    """Find the region that shows 2-D tissue, and its calibration.

    Parameters
    ----------
    dataset : pydicom.Dataset
    rows, columns : int
        Size of a frame in pixels.

    Raises
    ------
    ImageContentError
        The picture shows colour Doppler, M-mode or a spectrum, or two pictures beside each other.
    """
    frame = Box(0, 0, rows, columns)
    regions = list(dataset.get("SequenceOfUltrasoundRegions") or ())
    if not regions:
        return TissueRegion(frame, None, "the file has no ultrasound region, so its pixel size is unknown")
    two_d = [region for region in regions if region.get("RegionSpatialFormat") == _TWO_D]
    if not two_d:
        shown = {_OTHER_FORMATS.get(int(region.get("RegionSpatialFormat") or 0)) for region in regions}
        named = " and ".join(sorted(filter(None, shown))) or "no 2-D picture"
        raise ImageContentError(f"shows {named}; expected a 2-D grey picture of tissue")
    if any(region.get("RegionDataType") == _COLOUR_FLOW for region in two_d):
        raise ImageContentError("shows colour Doppler; expected a 2-D grey picture of tissue")
    tissue = [region for region in two_d if region.get("RegionDataType") == _TISSUE]
    if not tissue:
        raise ImageContentError("has no region of tissue; expected a 2-D grey picture of tissue")
    boxes = [_box(region) for region in tissue]
    outside = next((box for box in boxes if box is None or not _fits(box, frame)), frame)
    if outside is not frame:
        shown_box = "an empty region" if outside is None else f"columns {outside.left} to {outside.right - 1}"
        return TissueRegion(
            frame,
            None,
            f"its ultrasound region ({shown_box}) does not fit its {columns} x {rows} frames, so its pixel "
            "size is unknown; export it at its original size",
        )
    by_area = sorted(
        ((math.prod(box.shape), box, region) for box, region in zip(boxes, tissue, strict=True) if box),
        key=lambda item: item[0],
        reverse=True,
    )
    area, box, region = by_area[0]
    if len(by_area) > 1 and area < _MUCH_LARGER * by_area[1][0] and by_area[1][1] != box:
        raise ImageContentError("shows two 2-D pictures beside each other; export each on its own")
    within = Box(box.top, box.left, min(box.bottom, rows), min(box.right, columns))
    regions_at_box = [candidate for _, place, candidate in by_area if place == box]
    spacings = [_spacing(candidate)[0] for candidate in (*regions_at_box, *_of_frames(dataset, box))]
    if any(not _is_close(spacing, spacings[0]) for spacing in spacings):
        return TissueRegion(
            within,
            None,
            "its pixel size differs between frames or regions; export frames of one depth setting",
        )
    return TissueRegion(within, *_spacing(region))


def _is_close(first: Spacing | None, other: Spacing | None) -> bool:
    if first is None or other is None:
        return first is other
    pairs = (first.row_mm, other.row_mm), (first.col_mm, other.col_mm)
    return all(math.isclose(*pair, rel_tol=_SAME_SIZE) for pair in pairs)


def _of_frames(dataset: Dataset, box: Box) -> Iterator[Dataset]:
    """Yield the tissue regions at a place that single frames have besides those of the whole file."""
    for frame in dataset.get("PerFrameFunctionalGroupsSequence") or ():
        for group in (frame, *(item for element in frame if element.VR == "SQ" for item in element.value)):
            for region in group.get("SequenceOfUltrasoundRegions") or ():
                if region.get("RegionDataType") == _TISSUE and _box(region) == box:
                    yield region


def _box(region: Dataset) -> Box | None:
    corners = [region.get(name) for name in _CORNERS]
    if None in corners:
        return None
    left, top, right, bottom = (int(corner) for corner in corners)
    return Box(top, left, bottom + 1, right + 1)


def _fits(box: Box, frame: Box) -> bool:
    """Return whether a box lies in the frame; its last corner may be one beyond, as some scanners count."""
    is_within = box.top >= 0 and box.left >= 0
    is_within = is_within and box.bottom <= frame.bottom + 1 and box.right <= frame.right + 1
    return is_within and min(box.shape) >= _SMALLEST_PX


def _spacing(region: Dataset) -> tuple[Spacing | None, str]:
    units = [region.get(name) for name in _UNITS]
    deltas = [region.get(name) for name in _DELTAS]
    if units != [_CM, _CM]:
        return None, f"its ultrasound region counts in units of code {units[0]} and {units[1]}, not in cm"
    if None in deltas:
        return None, "its ultrasound region states no pixel size"
    col_mm, row_mm = (10.0 * abs(float(delta)) for delta in deltas)
    low, high = _PIXEL_MM
    if not (low <= col_mm <= high and low <= row_mm <= high):
        return None, f"its ultrasound region states pixels of {row_mm:.4g} x {col_mm:.4g} mm"
    return Spacing(row_mm=row_mm, col_mm=col_mm), ""
