"""Corruptions of images, each of a stated strength.

Every function takes a clip and returns a new one of the same grey type; those that move pixels move the masks
as well. Greys stay within the range of 8-bit images, else within the image's own extremes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, gaussian_filter, label
from torch.nn import functional

from cardiolabel.domain import Clip, Spacing, View
from cardiolabel.preprocessing.orientation import is_upside_down

Masks = NDArray[np.uint8]
Change = Callable[[Clip, Masks, np.random.Generator], tuple[Clip, Masks]]

DISPLAY_DB = 60.0
"""Range of echo strengths in dB that an ultrasound image is taken to show from black to white."""

_LIT = 0.02
_BRIGHTEST_PCT = 99.5
_SPECKLE_SHARE = 0.004
_SPECKLE_ASPECT = 2.0


@dataclass(frozen=True)
class Corruption:
    """A change of an image, with its name in tables and its strength in words.

    ``change`` takes a clip, its masks and a random generator.
    """

    name: str
    strength: str
    change: Change


def lit_sector(clip: Clip) -> NDArray[np.bool_]:
    """Return the pixels of the sector, row by row from its left to its right edge, dark cavities included.

    Parameters
    ----------
    clip : Clip

    Returns
    -------
    ndarray of bool, shape (H, W)
        Between the outermost pixels of the largest patch brighter than 2 % in any frame, row by row.
    """
    floor, ceiling = _shown(clip)
    lit = (_greys(clip) > floor + _LIT * (ceiling - floor)).any(axis=0)
    patches, _ = label(binary_closing(np.pad(lit, 3), iterations=3)[3:-3, 3:-3] | lit)
    sizes = np.bincount(patches.ravel())
    if len(sizes) < 2:
        return np.ones_like(lit)  # a blank picture has no sector
    patch = patches == 1 + sizes[1:].argmax()
    from_left = np.logical_or.accumulate(patch, axis=1)
    return np.asarray(from_left & np.logical_or.accumulate(patch[:, ::-1], axis=1)[:, ::-1])


def noisy(clip: Clip, *, share: float, rng: np.random.Generator) -> Clip:
    """Add Gaussian noise, independent in every pixel and frame, within the sector.

    Parameters
    ----------
    clip : Clip
    share : float
        Standard deviation, as a share of the sector's greys from darkest to 99.5th percentile.
    """
    lit = lit_sector(clip)
    greys = _greys(clip)
    size = float(np.percentile(greys[:, lit], _BRIGHTEST_PCT)) - float(greys[:, lit].min())
    return _regreyed(clip, greys + share * size * rng.standard_normal(clip.shape) * lit)


def speckled(clip: Clip, *, share: float, rng: np.random.Generator) -> Clip:
    """Multiply by grains of 1 plus Gaussian noise; dark pixels stay dark.

    A grain's standard deviation is 0.4 % of the image's height in depth, 0.6 mm in 15 cm, and twice that
    across.

    Parameters
    ----------
    clip : Clip
    share : float
        Standard deviation of the factor.
    """
    along = _SPECKLE_SHARE * clip.shape[1]
    across = _SPECKLE_ASPECT * along * _cols_per_row(clip)
    grains = gaussian_filter(rng.standard_normal(clip.shape), (0, along, across))
    grains /= grains.std() or 1.0
    floor, _ = _shown(clip)
    return _regreyed(clip, floor + (_greys(clip) - floor) * (1 + share * grains))


def scaled(clip: Clip, *, factor: float) -> Clip:
    """Multiply grey values above the darkest; whole numbers stay whole.

    A factor above 1 saturates: of 8 bits at 255, else at the image's own 99.5th percentile, where a viewer's
    window would end.

    Parameters
    ----------
    clip : Clip
    factor : float
    """
    floor, white = _shown(clip)
    if factor > 1 and clip.pixels.dtype != np.uint8:
        white = float(np.percentile(_greys(clip), _BRIGHTEST_PCT))
    multiplied = floor + (_greys(clip) - floor) * factor
    return _regreyed(clip, np.minimum(multiplied, white))


def gained(clip: Clip, *, gain_db: float) -> Clip:
    """Change the scanner's gain: shift log-compressed grey values within the sector.

    Parameters
    ----------
    clip : Clip
    gain_db : float
        Change in dB, of the `DISPLAY_DB` that lie between black and white.
    """
    floor, ceiling = _shown(clip)
    shift = gain_db / DISPLAY_DB * (ceiling - floor)
    return _regreyed(clip, _greys(clip) + shift * lit_sector(clip))


def attenuated(clip: Clip, *, loss_db: float) -> Clip:
    """Lose echo with depth, from nothing at the transducer to ``loss_db`` at the sector's end.

    Parameters
    ----------
    clip : Clip
    loss_db : float
        Loss in dB, of the `DISPLAY_DB` that lie between black and white.
    """
    floor, ceiling = _shown(clip)
    rows = np.flatnonzero(lit_sector(clip).any(axis=1))
    depth = np.interp(np.arange(clip.shape[1]), [rows[0], max(rows[-1], rows[0] + 1)], [0.0, 1.0])
    if is_upside_down(clip.pixels[len(clip.pixels) // 2]):
        depth = 1 - depth
    return _regreyed(clip, _greys(clip) - loss_db / DISPLAY_DB * (ceiling - floor) * depth[:, None])


def blurred(clip: Clip, *, share: float) -> Clip:
    """Smooth every frame by a Gaussian of equal width in mm along rows and columns.

    Parameters
    ----------
    clip : Clip
    share : float
        Its standard deviation, as a share of the picture's height.
    """
    along = share * clip.shape[1]
    widths = (0, along, along * _cols_per_row(clip))
    return _regreyed(clip, gaussian_filter(_greys(clip), widths))


def narrowed(clip: Clip, *, share: float) -> Clip:
    """Black out both sides of the sector, as in a recording with a narrower sector.

    Parameters
    ----------
    clip : Clip
    share : float
        What every row of the sector loses at its left and at its right, as a share of its width.
    """
    lit = lit_sector(clip)
    width = lit.sum(axis=1, keepdims=True)
    place = np.cumsum(lit, axis=1) - 0.5  # centre of a pixel, in pixels from the sector's left edge
    inside = lit & (place > share * width) & (place < (1 - share) * width)
    floor, _ = _shown(clip)
    return _regreyed(clip, np.where(inside, _greys(clip), floor))


def mirrored(clip: Clip, masks: Masks) -> tuple[Clip, Masks]:
    """Exchange left and right, as in the other display convention."""
    return replace(clip, pixels=clip.pixels[:, :, ::-1].copy()), masks[:, :, ::-1].copy()


def upside_down(clip: Clip, masks: Masks) -> tuple[Clip, Masks]:
    """Exchange top and bottom, so that the transducer is below."""
    return replace(clip, pixels=clip.pixels[:, ::-1].copy()), masks[:, ::-1].copy()


def turned(clip: Clip, masks: Masks) -> tuple[Clip, Masks]:
    """Rotate by a quarter turn to the left; the pixel's height becomes its width."""
    spacing = clip.spacing and Spacing(row_mm=clip.spacing.col_mm, col_mm=clip.spacing.row_mm)
    pixels = np.rot90(clip.pixels, axes=(1, 2)).copy()
    return replace(clip, pixels=pixels, spacing=spacing), np.rot90(masks, axes=(1, 2)).copy()


def coarser(clip: Clip, masks: Masks, *, rows: int = 1, cols: int = 1) -> tuple[Clip, Masks]:
    """Resample to fewer pixels over the same field of view; masks by majority.

    Parameters
    ----------
    clip : Clip
    masks : ndarray of uint8, shape (T, H, W)
    rows, cols : int
        How many times fewer.
    """
    _, height, width = clip.shape
    shape = max(1, round(height / rows)), max(1, round(width / cols))
    spacing = clip.spacing and Spacing(
        clip.spacing.row_mm * height / shape[0], clip.spacing.col_mm * width / shape[1]
    )
    pixels = _resampled(clip.pixels[:, None], shape)[:, 0]
    values = np.unique(masks)
    shares = _resampled(masks[:, None] == values[:, None, None], shape)
    resized = replace(clip, pixels=_typed(pixels, clip.pixels.dtype), spacing=spacing)
    return resized, values[shares.argmax(axis=1)]


def corruptions(views: Collection[View]) -> tuple[Corruption, ...]:
    """Return the corruptions to test a model of these views with, ``none`` first.

    Short-axis stacks have no sector, no transducer and no compressed echoes; they may lie rotated instead.
    """
    if any(view.is_stack for view in views):
        turn = Corruption("turn_90", "a quarter turn", lambda clip, masks, _: turned(clip, masks))
        return (*_OF_ANY, turn)
    return (*_OF_ANY, *_OF_ULTRASOUND)


def _greys(clip: Clip) -> NDArray[np.float64]:
    return clip.pixels.astype(np.float64)


def _shown(clip: Clip) -> tuple[float, float]:
    """Return the darkest grey, and the brightest that the type can show or, beyond 8 bits, that the image
    has.
    """
    white = 255 if clip.pixels.dtype == np.uint8 else clip.pixels.max()
    return float(clip.pixels.min()), float(white)


def _cols_per_row(clip: Clip) -> float:
    """Return how many columns are as wide as a row is high; 1 where the pixel size is unknown."""
    return clip.spacing.row_mm / clip.spacing.col_mm if clip.spacing else 1.0


def _regreyed(clip: Clip, pixels: NDArray[np.float64]) -> Clip:
    return replace(clip, pixels=_typed(np.clip(pixels, *_shown(clip)), clip.pixels.dtype))


def _typed(pixels: NDArray[np.float64], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    return (np.rint(pixels) if dtype.kind in "ui" else pixels).astype(dtype)


def _resampled(planes: NDArray[np.generic], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return planes (T, C, H, W) on another grid of the same extent, by area averaging."""
    resampled: NDArray[np.float64] = functional.interpolate(
        torch.from_numpy(planes.astype(np.float64)),
        shape,
        mode="bilinear",
        align_corners=False,
        antialias=True,
    ).numpy()
    return resampled


def _still(name: str, strength: str, change: Callable[[Clip, np.random.Generator], Clip]) -> Corruption:
    """Define a corruption that moves no pixel."""
    return Corruption(name, strength, lambda clip, masks, rng: (change(clip, rng), masks))


_OF_ANY = (
    _still("none", "as it is", lambda clip, _: clip),
    _still("noise_5", "SD 5 % of the greys", lambda clip, rng: noisy(clip, share=0.05, rng=rng)),
    _still("noise_10", "SD 10 % of the greys", lambda clip, rng: noisy(clip, share=0.1, rng=rng)),
    _still("noise_20", "SD 20 % of the greys", lambda clip, rng: noisy(clip, share=0.2, rng=rng)),
    _still("speckle_30", "grains x (1 ± 0.3)", lambda clip, rng: speckled(clip, share=0.3, rng=rng)),
    _still("speckle_60", "grains x (1 ± 0.6)", lambda clip, rng: speckled(clip, share=0.6, rng=rng)),
    _still("dark_50", "greys x 0.5", lambda clip, _: scaled(clip, factor=0.5)),
    _still("dark_30", "greys x 0.3", lambda clip, _: scaled(clip, factor=0.3)),
    _still("bright_200", "greys x 2, saturated", lambda clip, _: scaled(clip, factor=2.0)),
    _still("blur_1", "SD 1 % of the height", lambda clip, _: blurred(clip, share=0.01)),
    _still("blur_2", "SD 2 % of the height", lambda clip, _: blurred(clip, share=0.02)),
    Corruption("coarse", "spacing x 2", lambda clip, masks, _: coarser(clip, masks, rows=2, cols=2)),
    Corruption("wide_pixels", "column spacing x 2", lambda clip, masks, _: coarser(clip, masks, cols=2)),
    Corruption("tall_pixels", "row spacing x 2", lambda clip, masks, _: coarser(clip, masks, rows=2)),
    Corruption("mirror", "left is right", lambda clip, masks, _: mirrored(clip, masks)),
)
_OF_ULTRASOUND = (
    _still("gain_-12dB", "gain down by 12 dB", lambda clip, _: gained(clip, gain_db=-12)),
    _still("gain_+12dB", "gain up by 12 dB", lambda clip, _: gained(clip, gain_db=12)),
    _still("depth_-15dB", "15 dB lost at the end", lambda clip, _: attenuated(clip, loss_db=15)),
    _still("depth_-30dB", "30 dB lost at the end", lambda clip, _: attenuated(clip, loss_db=30)),
    _still("sides_10", "10 % off both sides", lambda clip, _: narrowed(clip, share=0.1)),
    _still("sides_20", "20 % off both sides", lambda clip, _: narrowed(clip, share=0.2)),
    Corruption("upside_down", "transducer below", lambda clip, masks, _: upside_down(clip, masks)),
)
