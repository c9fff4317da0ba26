"""Test-time augmentation: changes of a network's input, and the way back for its masks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional


@dataclass(frozen=True)
class Variation:
    """One change of a network's input.

    ``rotation_deg`` and ``scale`` are about the middle, ``mirror`` exchanges left and right, grey values
    (0..1) are raised to ``gamma``.
    """

    name: str
    rotation_deg: float = 0.0
    scale: float = 1.0
    mirror: bool = False
    gamma: float = 1.0

    def apply(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Change network inputs ``(N, 1, S, S)``."""
        changed = frames.clip(min=0) ** np.float32(self.gamma) if self.gamma != 1 else frames
        if self.mirror:
            changed = changed[..., ::-1]
        if self._moves:
            changed = _warped(changed, self, inverse=False)
        return np.ascontiguousarray(changed)

    def undo(self, masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Move masks ``(N, S, S)`` of changed inputs back to the original pixels."""
        back = masks
        if self._moves:
            back = _warped(masks[:, None].astype(np.float32), self, inverse=True)[:, 0] > 0
        return back[..., ::-1] if self.mirror else back

    @property
    def _moves(self) -> bool:
        return self.rotation_deg != 0 or self.scale != 1


VARIATIONS = (
    Variation("as it is"),
    Variation("mirrored", mirror=True),
    Variation("turned left, larger", rotation_deg=8, scale=1.08),
    Variation("turned right, smaller", rotation_deg=-8, scale=0.92),
    Variation("brighter", gamma=0.7),
    Variation("darker", gamma=1.5),
)
"""Changes within the range of ordinary echo images; the first changes nothing."""


@cache
def _grid(variation: Variation, size_px: int, *, inverse: bool) -> torch.Tensor:
    """Return the sampling grid ``(1, S, S, 2)`` of a change or of its inverse."""
    angle = np.deg2rad(variation.rotation_deg)
    cos, sin = np.cos(angle) / variation.scale, np.sin(angle) / variation.scale
    matrix = np.array([[cos, -sin], [sin, cos]])
    theta = torch.zeros(1, 2, 3)
    theta[0, :, :2] = torch.from_numpy(np.linalg.inv(matrix) if inverse else matrix)
    return functional.affine_grid(theta, [1, 1, size_px, size_px], align_corners=False)


def _warped(planes: NDArray[np.float32], variation: Variation, *, inverse: bool) -> NDArray[np.float32]:
    """Warp planes ``(N, 1, S, S)``, or warp masks back by nearest neighbours."""
    grid = _grid(variation, planes.shape[-1], inverse=inverse).expand(len(planes), -1, -1, -1)
    tensor = torch.from_numpy(np.ascontiguousarray(planes))
    mode = "nearest" if inverse else "bilinear"
    return functional.grid_sample(tensor, grid, mode=mode, align_corners=False).numpy()
