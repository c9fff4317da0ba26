"""Images to learn views from: augmented frames, and images that show no view at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import skimage.data
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from torch.nn import functional

__all__ = ["HELD_OUT", "OTHER_IMAGES", "augmented", "photographs"]

Picture = NDArray[np.uint8]
Maker = Callable[[np.random.Generator, Sequence[Picture]], Picture]
"""Makes an image that shows no view, some of them from frames of echo."""

_ANGLE_DEG, _ZOOM, _ASPECT, _SHIFT, _GAMMA, _NOISE = 10.0, (0.85, 1.25), (0.9, 1.1), 0.12, (0.6, 1.5), 0.05
_SIDE = 224
_TAKEN = 2
"""One photograph of so many is kept for testing."""


def augmented(frames: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Rotate, zoom, stretch, shift, brighten and add noise to frames ``(N, 1, S, S)``, each differently."""
    matrices = []
    for _ in range(len(frames)):
        angle, zoom = np.deg2rad(rng.uniform(-_ANGLE_DEG, _ANGLE_DEG)), rng.uniform(*_ZOOM)
        aspect = rng.uniform(*_ASPECT)
        shift = rng.uniform(-_SHIFT, _SHIFT, 2)
        cosine, sine = np.cos(angle) * zoom, np.sin(angle) * zoom
        matrices.append([[cosine * aspect, -sine, shift[0]], [sine, cosine / aspect, shift[1]]])
    theta = torch.tensor(np.array(matrices), dtype=torch.float32)
    grid = functional.affine_grid(theta, list(frames.shape), align_corners=False)
    moved = functional.grid_sample(frames, grid, align_corners=False)

    def each(low: float, high: float) -> torch.Tensor:
        return torch.tensor(rng.uniform(low, high, (len(frames), 1, 1, 1)), dtype=torch.float32)

    noise = torch.tensor(rng.standard_normal(moved.shape), dtype=torch.float32)
    return moved.clamp(0, 2) ** each(*_GAMMA) + noise * each(0.0, _NOISE)


def photographs() -> tuple[list[Picture], list[Picture]]:
    """Return the photographs that scikit-image brings along, for training and for testing."""
    folder = Path(str(skimage.data.__file__)).parent
    pictures = [
        np.asarray(Image.open(path).convert("L").resize((_SIDE, _SIDE)))
        for path in sorted(folder.iterdir())
        if path.suffix in (".png", ".jpg")
    ]
    return (
        [picture for index, picture in enumerate(pictures) if index % _TAKEN],
        pictures[::_TAKEN],
    )


def _noise(rng: np.random.Generator, frames: Sequence[Picture]) -> Picture:
    return _scaled(
        gaussian_filter(rng.standard_normal((_SIDE, _SIDE)), rng.choice([0.0, 1.0, 3.0, 8.0, 20.0]))
    )


def _sector_of_speckle(rng: np.random.Generator, frames: Sequence[Picture]) -> Picture:
    rows, cols = np.mgrid[:_SIDE, :_SIDE]
    angle = np.arctan2(cols - _SIDE / 2, rows + 1)
    inside = (np.abs(angle) < np.deg2rad(rng.uniform(30, 45))) & (np.hypot(rows, cols - _SIDE / 2) < _SIDE)
    speckle = np.hypot(*gaussian_filter(rng.standard_normal((2, _SIDE, _SIDE)), (0, 1.0, 2.0)))
    bright = np.exp(gaussian_filter(rng.standard_normal((_SIDE, _SIDE)), rng.uniform(10, 40)) * 30)
    return _scaled(np.log1p(speckle * np.clip(bright, 0.1, 10)) * inside)


def _text(rng: np.random.Generator, frames: Sequence[Picture]) -> Picture:
    picture = Image.new("L", (_SIDE, _SIDE), int(rng.choice([0, 255])))
    draw = ImageDraw.Draw(picture)
    fill = 255 - int(np.asarray(picture)[0, 0])
    for _ in range(int(rng.integers(3, 30))):
        letters = "".join(chr(code) for code in rng.integers(48, 122, int(rng.integers(3, 20))))
        draw.text(tuple(rng.integers(0, _SIDE, 2)), letters, fill=fill, font_size=float(rng.uniform(8, 30)))
    return np.asarray(picture)


def _shapes(rng: np.random.Generator, frames: Sequence[Picture]) -> Picture:
    picture = Image.new("L", (_SIDE, _SIDE), int(rng.integers(0, 80)))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 12))):
        corners = np.sort(rng.integers(0, _SIDE, (2, 2)), axis=0)
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((*map(int, corners[0]), *map(int, corners[1])), fill=int(rng.integers(0, 255)))
    return np.asarray(picture)


def _turned(rng: np.random.Generator, frames: Sequence[Picture]) -> Picture:
    return np.rot90(_any(rng, frames), int(rng.choice([1, 3])))


def _shuffled(rng: np.random.Generator, frames: Sequence[Picture]) -> Picture:
    frame = _any(rng, frames)
    parts = int(rng.choice([2, 3]))
    size = min(frame.shape) // parts
    tiles = [
        frame[row * size : (row + 1) * size, col * size : (col + 1) * size]
        for row in range(parts)
        for col in range(parts)
    ]
    order = rng.permutation(len(tiles))
    if (order == np.arange(len(tiles))).all():
        order = order[::-1]
    mixed = [tiles[index] for index in order]
    return np.block([mixed[row * parts : (row + 1) * parts] for row in range(parts)])


def _part(rng: np.random.Generator, frames: Sequence[Picture]) -> Picture:
    frame = _any(rng, frames)
    side = int(min(frame.shape) * rng.uniform(0.2, 0.4))
    row, col = (int(rng.integers(0, length - side)) for length in frame.shape)
    return frame[row : row + side, col : col + side]


def _two(rng: np.random.Generator, frames: Sequence[Picture]) -> Picture:
    pair = [np.asarray(Image.fromarray(_any(rng, frames)).resize((_SIDE, _SIDE))) for _ in range(2)]
    return np.hstack(pair)


def _m_mode(rng: np.random.Generator, frames: Sequence[Picture]) -> Picture:
    frame = _any(rng, frames)
    line = frame[:, frame.shape[1] // 2].astype(np.float64)
    shifts = 8 * np.sin(np.arange(_SIDE) / rng.uniform(6, 20))
    return _scaled(np.stack([np.roll(line, int(shift)) for shift in shifts], axis=1))


OTHER_IMAGES: tuple[Maker, ...] = (
    _noise,
    _sector_of_speckle,
    _text,
    _turned,
    _shuffled,
    _part,
    _m_mode,
)
"""Makers of training images."""

HELD_OUT: tuple[Maker, ...] = (_shapes, _two)
"""Makers of images for testing alone."""


def _any(rng: np.random.Generator, frames: Sequence[Picture]) -> Picture:
    return frames[int(rng.integers(len(frames)))]


def _scaled(values: NDArray[np.float64]) -> Picture:
    low, high = float(values.min()), float(values.max())
    return np.asarray((values - low) * (255.0 / ((high - low) or 1.0)), dtype=np.uint8)
