"""Images as arrays with their pixel size: clips of frames and stacks of slices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardiolabel.errors import ImageContentError


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
