"""The nouns of the product: frozen, validated when made.

Axes are fixed here and nowhere else: a clip is ``(T, H, W)``, a stack ``(Z, H, W)``, a point
``(row, col)``. Rows run along depth (away from the transducer), columns along the lateral
direction. Spacing is in mm and never has a default: where a file carries none it is ``None``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiolabel.errors import ImageContentError

__all__ = [
    "ACDC_LABELS",
    "CAMUS_LABELS",
    "LV_LABELS",
    "Clip",
    "Convention",
    "LabelSet",
    "Method",
    "Phase",
    "Record",
    "Spacing",
    "Stack",
    "View",
    "labels_of_view",
]


class View(StrEnum):
    """Imaging plane."""

    A2C = "A2C"
    A4C = "A4C"
    SAX = "SAX"
    UNKNOWN = "unknown"


class Phase(StrEnum):
    """What part of the cardiac cycle an image holds."""

    ED = "ED"
    ES = "ES"
    CINE = "cine"


class Method(StrEnum):
    """How a left-ventricular volume is computed."""

    BIPLANE = "biplane"
    SINGLE_PLANE_A4C = "single-plane-A4C"
    SINGLE_PLANE_A2C = "single-plane-A2C"
    AREA_LENGTH = "area-length"
    SLICE_SUMMATION = "slice-summation"


class Convention(StrEnum):
    """Which long-axis length the discs are cut from.

    ``guideline``: each phase has its own (ASE/EACVI 2015, doi 10.1016/j.echo.2014.10.003).
    ``camus``: one length, the longest over phases and views, serves both phases (the ``EF`` field
    of the CAMUS NIfTI release).
    """

    GUIDELINE = "guideline"
    CAMUS = "camus"


@dataclass(frozen=True)
class Spacing:
    """Pixel size: ``row_mm`` along depth, ``col_mm`` along the lateral direction."""

    row_mm: float
    col_mm: float

    def __post_init__(self) -> None:
        for name, value in (("row_mm", self.row_mm), ("col_mm", self.col_mm)):
            if not (math.isfinite(value) and value > 0):
                raise ImageContentError(f"{name} must be a positive length in mm, got {value!r}")

    @property
    def pixel_area_mm2(self) -> float:
        """Area of one pixel in mm²."""
        return self.row_mm * self.col_mm


@dataclass(frozen=True)
class LabelSet:
    """Names of a mask's integer values, in order; 0 is background and not listed.

    >>> CAMUS_LABELS.value("left_atrium")
    3
    """

    name: str
    values: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        numbers = [value for _, value in self.values]
        if len(set(numbers)) != len(numbers) or any(not 0 < value < 256 for value in numbers):
            raise ValueError(f"label values must be distinct and 1..255, got {self.values}")

    def value(self, structure: str) -> int:
        """Mask value of a structure; raises KeyError for a name that the set does not have."""
        return dict(self.values)[structure]

    def as_dict(self) -> dict[str, int]:
        """Names to values, in order."""
        return dict(self.values)

    def has(self, structure: str) -> bool:
        """Whether the set names the structure."""
        return structure in dict(self.values)

    @property
    def known(self) -> frozenset[int]:
        """All values that a mask may hold, background included."""
        return frozenset({0, *(value for _, value in self.values)})

    def check(self, masks: NDArray[np.generic], name: str) -> None:
        """Raise `ImageContentError` where masks hold values that the set does not have."""
        unknown = sorted(set(np.unique(masks).tolist()) - self.known)
        if unknown:
            known = ", ".join(f"{value} {structure}" for structure, value in self.values)
            shown = ", ".join(str(value) for value in unknown[:5])
            raise ImageContentError(f"{name}: label values {shown} are not known; expected 0 and {known}")


CAMUS_LABELS = LabelSet("camus", (("lv_cavity", 1), ("myocardium", 2), ("left_atrium", 3)))
"""CAMUS: LV cavity inside the endocardium, myocardium, left atrium."""


LV_LABELS = LabelSet("lv", (("lv_cavity", 1),))
"""The LV cavity alone, with CAMUS's value."""


ACDC_LABELS = LabelSet("acdc", (("right_ventricle", 1), ("myocardium", 2), ("lv_cavity", 3)))
"""ACDC short-axis MR: right-ventricular cavity, myocardium, LV cavity."""


SAX_LABELS = LabelSet("sax", (("myocardium", 2), ("lv_cavity", 3)))
"""Left ventricle in short-axis MR, with ACDC's values."""


def labels_of_view(view: View) -> LabelSet:
    """What the values of stored masks of a view mean; models may draw fewer structures.

    >>> labels_of_view(View.SAX).value("lv_cavity")
    3
    """
    return ACDC_LABELS if view is View.SAX else CAMUS_LABELS


def _checked_pixels(pixels: NDArray[np.generic], what: str) -> NDArray[np.generic]:
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise ImageContentError(f"{what} must be three non-empty axes, got shape {pixels.shape}")
    if pixels.dtype.kind not in "uif":
        raise ImageContentError(f"{what} must be integer or float grey values, not {pixels.dtype}")
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        bad = int((~np.isfinite(pixels)).sum())
        raise ImageContentError(f"{what} holds {bad} NaN or infinite pixels")
    view = pixels.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, eq=False)
class Clip:
    """One or more frames of one view.

    Parameters
    ----------
    pixels : ndarray, shape (T, H, W)
        Grey values, finite; kept read-only.
    spacing : Spacing or None
        None where the file carries no calibration.
    frame_rate_hz : float or None
        Frames per second of a cine, where known.

    Raises
    ------
    ImageContentError
        Wrong number of axes, an empty axis, colour or complex values, NaN.
    """

    pixels: NDArray[np.generic]
    spacing: Spacing | None
    frame_rate_hz: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", _checked_pixels(self.pixels, "a clip (T, H, W)"))
        if self.frame_rate_hz is not None and not self.frame_rate_hz > 0:
            raise ImageContentError(f"frame rate must be positive, got {self.frame_rate_hz} Hz")

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(T, H, W)``."""
        frames, rows, cols = self.pixels.shape
        return frames, rows, cols


@dataclass(frozen=True, eq=False)
class Stack:
    """Parallel slices at one phase.

    Parameters
    ----------
    pixels : ndarray, shape (Z, H, W)
        Grey values, finite; kept read-only.
    spacing : Spacing
    slice_spacing_mm : float
        Distance between neighbouring slices.
    affine : ndarray, shape (4, 4), optional
        From (column, row, slice) indices to patient coordinates in mm (right, anterior, superior),
        where the file places its slices in the patient.

    Raises
    ------
    ImageContentError
        Pixels as for `Clip`; no distance, or an affine of other lengths than the spacings.
    """

    pixels: NDArray[np.generic]
    spacing: Spacing
    slice_spacing_mm: float
    affine: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", _checked_pixels(self.pixels, "a stack (Z, H, W)"))
        if not (math.isfinite(self.slice_spacing_mm) and self.slice_spacing_mm > 0):
            raise ImageContentError(f"slice spacing must be > 0 mm, got {self.slice_spacing_mm}")
        if self.affine is not None:
            lengths_mm = np.linalg.norm(self.affine[:3, :3], axis=0)
            spacings_mm = (self.spacing.col_mm, self.spacing.row_mm, self.slice_spacing_mm)
            if not np.allclose(lengths_mm, spacings_mm, rtol=1e-3, atol=0):
                raise ImageContentError(
                    f"an affine of {lengths_mm} mm does not fit spacings of {spacings_mm}"
                )


SPLITS = ("TRAIN", "VAL", "TEST")
"""Parts of a dataset's official split."""


@dataclass(frozen=True)
class Record:
    """One image file and what is known about it.

    ``ed_frame`` and ``es_frame`` are 1-based frame numbers within a cine. ``reference_ef_pct`` is
    the dataset's own EF and ``reference_convention`` how it was computed. ``split`` is the image's
    part in the dataset's official split, one of `SPLITS`.

    Raises
    ------
    ValueError
        ``split`` is none of them: patients to be held back would be trained on.
    """

    image_id: str
    patient: str
    view: View
    phase: Phase
    dataset: str
    path: Path = field(compare=False)
    ed_frame: int | None = None
    es_frame: int | None = None
    frame_rate_hz: float | None = None
    sex: str | None = None
    age_years: int | None = None
    image_quality: str | None = None
    reference_ef_pct: float | None = None
    reference_convention: Convention | None = None
    split: str | None = None

    def __post_init__(self) -> None:
        if self.split not in (None, *SPLITS):
            raise ValueError(f"split {self.split!r}: expected one of {', '.join(SPLITS)}")

    @property
    def labels(self) -> LabelSet:
        """What the values of its stored masks mean."""
        return labels_of_view(self.view)

    @property
    def is_stack(self) -> bool:
        """Whether its third axis counts slices, not frames."""
        return self.view is View.SAX
