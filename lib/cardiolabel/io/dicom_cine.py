"""Short-axis MR cines: one DICOM file per slice and phase, or enhanced files that hold many of them.

Files are ordered by their headers, never by their names: slices by ``ImagePositionPatient`` along the slice
normal, phases by ``TriggerTime``, then ``InstanceNumber``. ``SliceLocation`` is not used, as scanners define
its origin and direction differently.

References
----------
DICOM PS3.3, C.7.6.2 Image Plane module, C.7.6.16 Multi-frame Functional Groups module and C.7.6.18.1 Cardiac
Synchronization, https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.7.6.2.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.utils import pixel_array

from cardiolabel.domain import Spacing, Stack
from cardiolabel.errors import ImageContentError
from cardiolabel.io.dicom_file import read_dataset, readable
from cardiolabel.io.limits import pixel_bytes

__all__ = ["CineSeries", "read_series"]

_NEEDED = ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "Rows", "Columns")
_SHAPE = ("NumberOfFrames", "SamplesPerPixel", "Rows", "Columns")
_OPTIONAL = ("TriggerTime", "InstanceNumber")
_ENHANCED = ("NumberOfFrames", "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
_GROUPS = (
    ("PlaneOrientationSequence", "ImageOrientationPatient"),
    ("PlanePositionSequence", "ImagePositionPatient"),
    ("PixelMeasuresSequence", "PixelSpacing"),
)
_SAME_SLICE_MM = 0.5
_SAME_DIRECTION = 1e-3
_SAME_GAP = 0.02
_RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class _Header:
    path: Path
    axes: NDArray[np.float64]
    position_mm: NDArray[np.float64]
    spacing: Spacing
    shape: tuple[int, int]
    order: tuple[float, float]
    frame: int | None = None

    @property
    def normal(self) -> NDArray[np.float64]:
        return np.asarray(np.cross(self.axes[0], self.axes[1]))


@dataclass(frozen=True, eq=False)
class CineSeries:
    """A cine of parallel slices, in order; pixels are read on demand.

    Attributes
    ----------
    files : tuple of tuples of Path
        ``files[slice][phase]``.
    frames : tuple of tuples of int or None
        The frame (from 0) within each file, None for a file of one image.
    shape : tuple of int
        (H, W) of every image.
    spacing : Spacing
    slice_spacing_mm : float
        From the positions, not from ``SliceThickness`` or ``SpacingBetweenSlices``.
    affine : ndarray, shape (4, 4)
        As in `cardiolabel.domain.Stack`.
    """

    files: tuple[tuple[Path, ...], ...]
    frames: tuple[tuple[int | None, ...], ...]
    shape: tuple[int, int]
    spacing: Spacing
    slice_spacing_mm: float
    affine: NDArray[np.float64]

    @property
    def phases(self) -> int:
        """Number of phases, the same for every slice."""
        return len(self.files[0])

    def places(self) -> dict[Path, tuple[int, int]]:
        """Slice and phase of every file, both from 0."""
        return {
            path: (index, phase)
            for index, of_slice in enumerate(self.files)
            for phase, path in enumerate(of_slice)
        }

    def stack(self, phase: int) -> Stack:
        """Return all slices at one phase (from 0).

        Raises
        ------
        ImageReadError, ImageContentError
            A file's pixels cannot be decoded or are not of the size that its header says.
        """
        pixels = np.stack(
            [
                self._pixels(paths[phase], frames[phase])
                for paths, frames in zip(self.files, self.frames, strict=True)
            ]
        )
        return Stack(pixels, self.spacing, self.slice_spacing_mm, self.affine)

    def pixels(self) -> NDArray[np.generic]:
        """Return the whole cine, shape (T, Z, H, W); errors as `stack`."""
        return np.stack([self.stack(phase).pixels for phase in range(self.phases)])

    def _pixels(self, path: Path, frame: int | None) -> NDArray[np.generic]:
        with readable(path, problem="its pixels cannot be decoded"):
            dataset: Dataset = read_dataset(path)
            # Before they are decoded: a few bytes may claim any number of frames.
            frames, samples, rows, columns = (int(dataset.get(name) or 1) for name in _SHAPE)
            count = 1 if frame is not None else frames
            claimed = (*(number for number in (count, samples) if number != 1), rows, columns)
            if claimed != self.shape:
                raise _not_one_grey_image(path, claimed, self.shape)
            if frame is None:
                pixels = np.asarray(dataset.pixel_array)
                scaled = dataset
            else:
                pixels = np.asarray(pixel_array(dataset, index=frame))
                scaled = _group(dataset, frame, "PixelValueTransformationSequence") or dataset
            slope, intercept = (
                float(scaled.get(f"Rescale{word}", at)) for word, at in (("Slope", 1), ("Intercept", 0))
            )
        if pixels.shape != self.shape:
            raise _not_one_grey_image(path, pixels.shape, self.shape)
        if not np.isfinite([slope, intercept]).all() or slope == 0:
            raise ImageContentError(f"{path.name}: RescaleSlope or RescaleIntercept is no scale")
        return pixels if (slope, intercept) == (1.0, 0.0) else (pixels * slope + intercept).astype(np.float32)


def _not_one_grey_image(path: Path, shape: tuple[int, ...], expected: tuple[int, int]) -> ImageContentError:
    return ImageContentError(f"{path.name}: {shape} pixels, expected one grey image {expected}")


def read_series(paths: Iterable[Path]) -> CineSeries:
    """Read the headers of one cine's files and bring them into order.

    Parameters
    ----------
    paths : iterable of Path
        Every file of the cine, in any order.

    Returns
    -------
    CineSeries
        Slices along the normal of the image plane.

    Raises
    ------
    ImageReadError
        A file cannot be read or is not DICOM.
    ImageContentError
        A tag is missing; sizes or directions differ; slices are not evenly spaced, or have unlike
        numbers of phases; the files concerned are named.
    """
    headers = [header for path in sorted(paths) for header in _headers(path)]
    if not headers:
        raise ImageContentError("a cine of no files; expected one DICOM file for each slice and phase")
    first = headers[0]
    for other in headers[1:]:
        _check_alike(first, other)
    slices = _slices(headers)
    apart_mm = _slice_spacing_mm(slices)
    counts = [len(of_slice) for of_slice in slices]
    if len(set(counts)) > 1:
        usual = max(set(counts), key=counts.count)
        odd = next(of_slice for of_slice in slices if len(of_slice) != usual)
        raise ImageContentError(
            f"the slice of {odd[0].path.name} has {len(odd)} phases, others have {usual}; "
            "complete the download, or remove repeated series"
        )
    affine = np.eye(4)
    columns = (
        first.axes[0] * first.spacing.col_mm,
        first.axes[1] * first.spacing.row_mm,
        first.normal * apart_mm,
    )
    affine[:3, :3] = _RAS_FROM_LPS @ np.stack(columns, axis=1)
    affine[:3, 3] = _RAS_FROM_LPS @ slices[0][0].position_mm
    files = tuple(tuple(header.path for header in of_slice) for of_slice in slices)
    frames = tuple(tuple(header.frame for header in of_slice) for of_slice in slices)
    return CineSeries(files, frames, first.shape, first.spacing, apart_mm, affine)


def _headers(path: Path) -> list[_Header]:
    with readable(path):
        tags = read_dataset(path, stop_before_pixels=True, specific_tags=[*_NEEDED, *_OPTIONAL, *_ENHANCED])
        per_frame = tags.get("PerFrameFunctionalGroupsSequence")
        if not per_frame or "ImagePositionPatient" in tags:
            return [_understood(path, tags)]
        frames = int(tags.get("NumberOfFrames") or 1)
        if frames != len(per_frame):
            raise ImageContentError(
                f"{path.name}: describes {len(per_frame)} of {frames} frames; copy it again"
            )
        return [replace(_understood(path, _frame_tags(tags, index)), frame=index) for index in range(frames)]


def _frame_tags(tags: Dataset, frame: int) -> Dataset:
    """Return the tags of one frame of an enhanced file, as a classic file has them."""
    classic = Dataset()
    classic.Rows, classic.Columns = tags.Rows, tags.Columns
    for group, name in _GROUPS:
        value = (_group(tags, frame, group) or Dataset()).get(name)
        if value is not None:
            setattr(classic, name, value)
    delay = (_group(tags, frame, "CardiacSynchronizationSequence") or Dataset()).get(
        "NominalCardiacTriggerDelayTime"
    )
    content = _group(tags, frame, "FrameContentSequence") or Dataset()
    if delay is not None:
        classic.TriggerTime = f"{float(delay):.6f}"
    classic.InstanceNumber = int(content.get("TemporalPositionIndex") or 0)
    return classic


def _group(tags: Dataset, frame: int, name: str) -> Dataset | None:
    """Return a functional group of a frame: its own, else the one that all frames share."""
    for sequence, index in (
        ("PerFrameFunctionalGroupsSequence", frame),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        groups = tags.get(sequence)
        if groups and groups[index].get(name):
            group: Dataset = groups[index][name][0]
            return group
    return None


def _understood(path: Path, tags: Dataset) -> _Header:
    missing = [name for name in _NEEDED if tags.get(name) in (None, "")]
    if missing:
        raise ImageContentError(f"{path.name}: no {missing[0]}; expected a single-frame MR image")
    try:
        axes = np.array(tags.ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
        position_mm = np.array(tags.ImagePositionPatient, dtype=np.float64).reshape(3)
        row_mm, col_mm = (float(size) for size in tags.PixelSpacing)
        order = tuple(
            float(tags[name].value) if tags.get(name) not in (None, "") else 0.0 for name in _OPTIONAL
        )
    except (TypeError, ValueError) as error:
        raise ImageContentError(
            f"{path.name}: position, size or time cannot be understood ({error})"
        ) from error
    lengths = np.linalg.norm(axes, axis=1)
    if not np.isfinite(order).all():
        raise ImageContentError(f"{path.name}: TriggerTime or InstanceNumber is no number")
    if not (np.isfinite(position_mm).all() and np.allclose(lengths, 1, atol=1e-2)):
        raise ImageContentError(
            f"{path.name}: ImageOrientationPatient or ImagePositionPatient is no direction"
        )
    try:
        spacing = Spacing(row_mm=row_mm, col_mm=col_mm)
    except ImageContentError as error:
        raise ImageContentError(f"{path.name}: {error}") from error
    shape = int(tags.Rows), int(tags.Columns)
    pixel_bytes(path.name, shape, bytes_each=4)
    return _Header(path, axes / lengths[:, None], position_mm, spacing, shape, (order[0], order[1]))


def _check_alike(first: _Header, other: _Header) -> None:
    sizes = [(header.spacing.row_mm, header.spacing.col_mm) for header in (first, other)]
    if first.shape != other.shape or not np.allclose(sizes[0], sizes[1], rtol=1e-3):
        raise ImageContentError(
            f"{other.path.name}: {other.shape} pixels of {sizes[1]} mm, {first.path.name} has {first.shape} "
            f"of {sizes[0]}; one cine has one size"
        )
    if not np.allclose(first.axes, other.axes, atol=_SAME_DIRECTION):
        raise ImageContentError(
            f"{other.path.name}: lies in another direction than {first.path.name}; "
            "short-axis slices are parallel"
        )


def _slices(headers: Sequence[_Header]) -> list[list[_Header]]:
    """Return the files of each slice in order of time, slices in order along the normal."""
    normal = headers[0].normal
    along = np.array([header.position_mm @ normal for header in headers])
    order = np.argsort(along, kind="stable")
    number = np.concatenate([[0], np.cumsum(np.diff(along[order]) > _SAME_SLICE_MM)])
    grouped: defaultdict[int, list[_Header]] = defaultdict(list)
    for index, at in zip(order, number, strict=True):
        grouped[int(at)].append(headers[index])
    slices = [sorted(of_slice, key=lambda header: header.order) for of_slice in grouped.values()]
    for of_slice in slices:
        for first, other in pairwise(of_slice):
            if first.order == other.order:
                raise ImageContentError(
                    f"{first.path.name} and {other.path.name} show one slice at one time; remove one of them"
                )
            if np.linalg.norm(first.position_mm - other.position_mm) > _SAME_SLICE_MM:
                raise ImageContentError(
                    f"{first.path.name} and {other.path.name} lie beside each other in one plane"
                )
    return slices


def _slice_spacing_mm(slices: list[list[_Header]]) -> float:
    """Return the distance between slices, along the normal; all gaps must be alike and none sideways."""
    if len(slices) < 2:
        name = slices[0][0].path.name
        raise ImageContentError(f"all files lie in the slice of {name}; expected two slices or more")
    normal = slices[0][0].normal
    positions = np.array([of_slice[0].position_mm for of_slice in slices])
    steps = np.diff(positions, axis=0)
    gaps_mm = steps @ normal
    usual_mm = float(
        np.sort(gaps_mm)[(len(gaps_mm) - 1) // 2]
    )  # a lost slice makes gaps wider, never narrower
    sideways_mm = np.linalg.norm(steps - gaps_mm[:, None] * normal, axis=1)
    bad = (np.abs(gaps_mm - usual_mm) > _SAME_GAP * usual_mm) | (sideways_mm > _SAME_GAP * usual_mm)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        names = (slices[at][0].path.name, slices[at + 1][0].path.name)
        raise ImageContentError(
            f"the slices of {names[0]} and {names[1]} are {gaps_mm[at]:.2f} mm apart and "
            f"{sideways_mm[at]:.2f} mm sideways, others {usual_mm:.2f} mm; complete the download, or remove "
            "what is not of this stack"
        )
    return round(float(gaps_mm.mean()), 3)  # positions are written with two or three decimals
