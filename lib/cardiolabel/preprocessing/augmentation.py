"""Random augmentation of training batches: geometry and grey values, a whole batch at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

TargetWarp = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]
"""Warps training targets like their images: ``warp(targets, theta, side_px)``.

``theta (N, 2, 3)`` is the sampling transform of `torch.nn.functional.affine_grid` (from the warped image to
the original) and ``side_px`` the images' side in pixels.
"""


def warp_masks(masks: torch.Tensor, theta: torch.Tensor, side_px: int) -> torch.Tensor:
    """Warp integer masks ``(N, S, S)`` with nearest-neighbour sampling."""
    grid = functional.affine_grid(theta, [len(masks), 1, side_px, side_px], align_corners=False)
    moved = functional.grid_sample(masks[:, None].float(), grid, mode="nearest", align_corners=False)
    return moved[:, 0].long()


@dataclass(frozen=True)
class Augmentation:
    """Ranges of a random augmentation; each value is drawn uniformly and once per image.

    The defaults suit ultrasound: gain, depth attenuation, speckle and shadows as well as geometry. Shares are
    probabilities, 0..1; shifts and levels are fractions of the image side and of the grey range.

    Parameters
    ----------
    clean_share : float
        Images whose geometry is changed but whose grey values are not.
    scanner_share : float
        Images with a changed overall level (``level``) and depth gain (``depth_loss``), both additive, as
        gain controls act on log-compressed echoes.
    """

    rotation_deg: float = 20.0
    scale: tuple[float, float] = (0.75, 1.25)
    stretch: float = 0.08
    shift: float = 0.12
    mirror_share: float = 0.25
    gamma: tuple[float, float] = (0.6, 1.7)
    gain: tuple[float, float] = (0.75, 1.25)
    attenuation: float = 0.5
    noise: float = 0.10
    speckle: float = 0.15
    blur_share: float = 0.3
    shadow_share: float = 0.2
    crop_share: float = 0.0
    crop: float = 0.2
    clean_share: float = 0.0
    scanner_share: float = 0.0
    level: float = 0.2
    depth_loss: float = 0.4

    def __call__(
        self,
        images: torch.Tensor,
        targets: torch.Tensor,
        *,
        generator: torch.Generator,
        warp_targets: TargetWarp = warp_masks,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Augment images ``(N, 1, S, S)`` in 0..1 and their targets, which are masks by default."""
        theta = self._theta(len(images), generator)
        grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
        warped = functional.grid_sample(images, grid, align_corners=False)
        return self._regrey(warped, generator), warp_targets(targets, theta, images.shape[-1])

    def _theta(self, count: int, generator: torch.Generator) -> torch.Tensor:
        def draw(low: float, high: float) -> torch.Tensor:
            return low + (high - low) * torch.rand(count, generator=generator)

        angle = torch.deg2rad(draw(-self.rotation_deg, self.rotation_deg))
        size = draw(*self.scale)
        aspect = draw(1 - self.stretch, 1 + self.stretch)
        mirror = torch.where(draw(0, 1) < self.mirror_share, -1.0, 1.0)
        cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
        return torch.stack(
            [
                torch.stack([cos * aspect * mirror, -sin, draw(-self.shift, self.shift)], 1),
                torch.stack([sin * aspect * mirror, cos, draw(-self.shift, self.shift)], 1),
            ],
            1,
        )

    def _regrey(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        count, _, rows, cols = images.shape

        def draw(low: float, high: float) -> torch.Tensor:
            return low + (high - low) * torch.rand(count, 1, 1, 1, generator=generator)

        lit = images > 0.004
        depth = torch.linspace(0, 1, rows).view(1, 1, rows, 1)
        grey = images.clamp(0, 2) ** draw(*self.gamma)
        grey = grey * draw(*self.gain) * (1 - draw(-0.3, 1) * self.attenuation * depth)
        if self.scanner_share:
            offset = draw(-self.level, self.level) - draw(0, self.depth_loss) * depth
            grey = (grey + offset * lit * (draw(0, 1) < self.scanner_share)).clamp(min=0)
        coarse = torch.randn(count, 1, rows // 2, cols // 2, generator=generator)
        grain = functional.interpolate(coarse, size=(rows, cols), mode="bilinear")
        grey = grey * (1 + grain * draw(0, self.speckle) * 2)
        grey = grey + torch.randn(images.shape, generator=generator) * draw(0, self.noise) * lit
        blurred = functional.avg_pool2d(grey, 5, stride=1, padding=2)
        grey = torch.where(draw(0, 1) < self.blur_share, blurred, grey)
        centre, width = draw(-1, 1), draw(0.05, 0.2)
        across = torch.linspace(-1, 1, cols).view(1, 1, 1, cols) / (0.1 + depth)
        shadow = 1 - draw(0.3, 0.95) * torch.exp(-(((across - centre) / width) ** 2))
        grey = torch.where(draw(0, 1) < self.shadow_share, grey * shadow, grey)
        grey = self._cropped(grey, draw) if self.crop_share else grey
        if self.clean_share:
            grey = torch.where(draw(0, 1) < self.clean_share, images, grey)
        return grey.clamp(0, 2)

    def _cropped(self, grey: torch.Tensor, draw: Callable[[float, float], torch.Tensor]) -> torch.Tensor:
        """Blacken one side beyond a slanted line, as a narrower sector would."""
        _, _, rows, cols = grey.shape
        across = torch.linspace(0, 1, cols).view(1, 1, 1, cols)
        depth = torch.linspace(-0.5, 0.5, rows).view(1, 1, rows, 1)
        side = draw(0, 1) < 0.5
        across = torch.where(side, across, 1 - across)
        inside = across > draw(0, self.crop) + depth * draw(-0.2, 0.2)
        return torch.where((draw(0, 1) < self.crop_share) & ~inside, torch.zeros(()), grey)


AUGMENTATIONS = {
    "none": Augmentation(
        rotation_deg=0,
        scale=(1, 1),
        stretch=0,
        shift=0,
        mirror_share=0,
        gamma=(1, 1),
        gain=(1, 1),
        attenuation=0,
        noise=0,
        speckle=0,
        blur_share=0,
        shadow_share=0,
    ),
    "light": Augmentation(
        rotation_deg=10,
        scale=(0.9, 1.1),
        stretch=0,
        shift=0.05,
        mirror_share=0,
        gamma=(1, 1),
        gain=(0.9, 1.1),
        attenuation=0,
        noise=0,
        speckle=0,
        blur_share=0,
        shadow_share=0,
    ),
    "echo": Augmentation(),
    "echo_cropped": Augmentation(crop_share=0.2),
    "echo_scanner": Augmentation(crop_share=0.2, scanner_share=0.3, speckle=0.2),
    "echo_mixed": Augmentation(crop_share=0.4, scanner_share=0.5, speckle=0.3, clean_share=0.5),
    "sax": Augmentation(
        rotation_deg=180,
        mirror_share=0.5,
        attenuation=0,
        noise=0.05,
        speckle=0,
        shadow_share=0,
    ),
}
"""Augmentations by the name that training recipes use."""
