"""Simulation of an echo image of a phantom's tissue.

Scatterers are complex Gaussian noise weighted by the tissue's echo level. They are filtered with the
point-spread function in polar coordinates (range, angle), so that speckle widens with depth, then detected,
log-compressed and scan-converted. Levels are amplitudes in dB above black.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from cardiolabel.datasets.phantom_geometry import Beat, Chamber, Heart, Plane, Sector
from cardiolabel.domain import View

BEAMS, RANGE_STEP_MM, NEAR_FIELD_MM = 256, 0.4, 40.0


class Scanner:
    """One view's acquisition, constant from frame to frame.

    The sides of the image (right ventricle, lung), the gain, the shadows and the tissue's scatterers are
    drawn once; receiver noise is drawn for every frame.
    """

    def __init__(self, view: View, sector: Sector, *, seed: tuple[int, ...]) -> None:
        rng = np.random.default_rng(seed)
        self.view, self.sector, self.seed = view, sector, seed
        ranges = np.arange(math.ceil(sector.depth_mm / RANGE_STEP_MM) + 1, dtype=np.float32) * RANGE_STEP_MM
        half_angle = math.radians(sector.half_angle_deg)
        angles = np.linspace(-half_angle, half_angle, BEAMS, dtype=np.float32)
        self.range = np.broadcast_to(ranges[:, None], (ranges.size, BEAMS))
        self.angle = np.broadcast_to(angles[None, :], (ranges.size, BEAMS))
        self.depth, self.lateral = self.range * np.cos(self.angle), self.range * np.sin(self.angle)

        shape = self.range.shape
        beam_deg = 2 * sector.half_angle_deg / (BEAMS - 1)
        self.psf = (float(rng.uniform(0.32, 0.45)) / RANGE_STEP_MM, float(rng.uniform(0.40, 0.62)) / beam_deg)
        self.scatterers = [_complex_noise(rng, shape) for _ in range(2)]
        self.texture_db = (
            _smooth_noise(rng, shape, (2.0, 3.5)) * 3.0 + _smooth_noise(rng, shape, (45.0, 22.0)) * 4.0
        )
        shadows = _smooth_noise(rng, shape, (70.0, 9.0))
        self.shadow_db = (
            -rng.uniform(4.0, 9.0) * np.clip(shadows - 0.9, 0, 2) * np.clip(self.range / 40 - 0.3, 0, 1)
        )

        self.gain_db = float(rng.uniform(-3.0, 3.0))
        self.grey_per_db = float(rng.uniform(3.9, 4.9))
        self.haze_db = float(rng.uniform(4.0, 10.0))
        self.near_db = float(rng.uniform(24.0, 33.0))
        self.tissue_db = float(rng.uniform(23.0, 27.0))
        self.left_wall_db = self.tissue_db + float(rng.uniform(2.0, 8.0))
        self.right_wall_db = self.tissue_db - float(rng.uniform(0.0, 5.0))
        self.bright_db = float(rng.uniform(38.0, 46.0))
        self.body_db = tuple(float(level) for level in rng.uniform(9.0, 20.0, size=2))
        self.waves = rng.uniform(0.0, 2 * math.pi, size=3)
        self.right_ventricle_mm = float(rng.uniform(13.0, 18.0))

        rows, cols = sector.pixel_centres_mm()
        self.inside = sector.contains(rows, cols)
        radius, theta = np.hypot(rows, cols)[self.inside], np.arctan2(cols, rows)[self.inside]
        self.coordinates = np.stack(
            (radius / RANGE_STEP_MM, (theta + half_angle) / (2 * half_angle) * (BEAMS - 1))
        )

    def record(
        self, heart: Heart, beat: Beat, *, numbers: Sequence[int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return the images and true masks of the frames with these 1-based numbers, each (T, H, W)."""
        pixels, masks = [], []
        for number in numbers:
            contracted, valve_open = beat.state(number)
            chamber = heart.chamber(self.view, contracted=contracted)
            masks.append(chamber.masks(self.sector))
            pixels.append(self.frame(chamber, contracted=contracted, valve_open=valve_open, number=number))
        return np.stack(pixels), np.stack(masks)

    def frame(
        self, chamber: Chamber, *, contracted: float, valve_open: float, number: int
    ) -> NDArray[np.uint8]:
        """Return one image (H, W), grey 0 outside the sector and at least 1 inside."""
        rng = np.random.default_rng((*self.seed, number))
        level_db = self._echo_level_db(chamber, valve_open) + self.shadow_db
        amplitude = 10.0 ** (level_db / 20)
        mixing = 0.8 * contracted
        tissue = math.cos(mixing) * self.scatterers[0] + math.sin(mixing) * self.scatterers[1]
        noise_db = self.haze_db - 3.0 + 6.0 * self.range / self.sector.depth_mm
        echo = amplitude * tissue + 10.0 ** (noise_db / 20) * _complex_noise(rng, self.range.shape)
        side_lobes = gaussian_filter(amplitude, (1.0, 12.0)) * 0.035
        power = gaussian_filter(self._detected_power(echo), (0.8, 1.1)) + side_lobes**2
        compressed = 10 * np.log10(power + 1e-3) + self.gain_db
        grey = np.zeros(self.sector.shape, dtype=np.uint8)
        shown = map_coordinates(compressed * self.grey_per_db, self.coordinates, order=1, mode="nearest")
        grey[self.inside] = np.clip(np.rint(shown), 1, 255).astype(np.uint8)
        return grey

    def _detected_power(self, echo: NDArray[np.complex64]) -> Plane:
        """Return the power after the point-spread function; close to the transducer the beam keeps its
        width.
        """
        power = _speckle_power(echo, self.psf)
        near = round(NEAR_FIELD_MM / RANGE_STEP_MM)
        share = self.range[:near] / NEAR_FIELD_MM
        wide = _speckle_power(echo[:near], (self.psf[0], 6 * self.psf[1]))
        power[:near] = share * power[:near] + (1 - share) * wide
        return power

    def _echo_level_db(self, chamber: Chamber, valve_open: float) -> Plane:
        height, side = chamber.axes_mm(self.depth, self.lateral)
        endocardium = chamber.beyond_cavity_mm(height, side)
        epicardium = chamber.beyond_cavity_mm(height, side, wall_mm=chamber.wall_mm)
        right = 0.5 + 0.5 * np.tanh(side / 6.0)
        level = self._surroundings_db(chamber, height, side, epicardium) + 1.2 * self.texture_db

        around = np.arctan2(side, height - chamber.waist * chamber.length_mm)
        patchy = 2.5 * np.sin(3 * around + self.waves[0]) + 2.0 * np.sin(7 * around + self.waves[1])
        wall = self.left_wall_db + (self.right_wall_db - self.left_wall_db) * right + patchy + self.texture_db
        wall = wall + 3.0 * np.exp(-((endocardium - 1.0) ** 2) / 2.0) - 4.0 * np.cos(around).clip(0, 1) ** 6
        level = _blend(level, wall, epicardium, where=height > -3.0)

        blood = self.haze_db + 2.0 + 0.3 * self.texture_db
        level = _blend(level, blood, np.maximum(endocardium + chamber.trabeculae_mm, -height))
        atrium = chamber.beyond_atrium_mm(height, side)
        rim = np.where(height < -2, self.tissue_db + 5.0 + self.texture_db, level)
        level = np.where((np.abs(atrium - 1.5) < 1.5) & (height < 0), np.maximum(level, rim), level)
        level = _blend(level, blood, np.maximum(atrium, height))

        valve = chamber.from_valve_mm(height, side, open_share=valve_open)
        for distance, bright in zip(valve, (self.tissue_db + 7.0, self.bright_db), strict=True):
            level = np.maximum(level, bright - 6.0 * (distance / 1.1) ** 2 + 0.7 * self.texture_db)
        near = self.near_db - 1.3 * self.range
        return np.asarray(np.logaddexp(level / 4, near / 4) * 4, dtype=np.float32)

    def _surroundings_db(self, chamber: Chamber, height: Plane, side: Plane, epicardium: Plane) -> Plane:
        """Return the levels around the ventricle: the right heart in A4C, pericardium and lung, bright tissue
        behind the atria.
        """
        decay = np.exp(-np.maximum(epicardium - 2.0, 0) / 11.0)
        rise = np.clip(0.35 + self.range / self.sector.depth_mm, 0, 1.1)
        patchy = 2.5 * np.sin(self.angle * 9 + self.waves[2])
        outside = self.body_db[1] + (self.bright_db - self.body_db[1]) * decay * rise + patchy
        if self.view is View.A4C:
            septal = -chamber.width_mm / 2 - chamber.wall_mm - self.right_ventricle_mm - 1.0
            body = np.full_like(side, self.body_db[0]) + patchy
            for centre, long in ((0.36 * chamber.length_mm, 0.42 * chamber.length_mm), (-20.0, 17.0)):
                reach = np.hypot((height - centre) / long, (side - septal) / self.right_ventricle_mm)
                beyond = (reach - 1.0) * self.right_ventricle_mm
                ring = self.tissue_db + 2.0 - np.clip(beyond - 5.0, 0, 20)
                body = np.where(beyond > 0, np.maximum(body, ring), self.haze_db + 3.5)
            outside = body + (outside - body) * (0.5 + 0.5 * np.tanh(side / 4.0))
        behind = -height - 0.98 * chamber.atrium_mm
        deep = self.bright_db - 3.0 - 0.25 * np.abs(behind - 6.0)
        return np.asarray(np.where(behind > 0, np.maximum(outside, deep), outside), dtype=np.float32)


def _speckle_power(echo: NDArray[np.complex64], psf: tuple[float, float]) -> Plane:
    real, imaginary = gaussian_filter(echo.real, psf), gaussian_filter(echo.imag, psf)
    return np.asarray((real**2 + imaginary**2) * (4 * math.pi * psf[0] * psf[1]), dtype=np.float32)


def _complex_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex64]:
    parts = rng.standard_normal((2, *shape), dtype=np.float32)
    return np.asarray(parts[0] + 1j * parts[1], dtype=np.complex64)


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: tuple[float, float]) -> Plane:
    noise = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma)
    return np.asarray(noise / noise.std(), dtype=np.float32)


def _blend(outer: Plane, inner: Plane, beyond_mm: Plane, *, where: NDArray[np.bool_] | bool = True) -> Plane:
    """Blend ``inner`` where ``beyond_mm`` is negative with ``outer`` elsewhere, over a 1 mm soft edge."""
    share = np.clip(0.5 - beyond_mm, 0, 1) * where
    return np.asarray(outer + (inner - outer) * share, dtype=np.float32)
