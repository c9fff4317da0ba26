"""Bilinear resampling of part of an image, equal to that part of the whole resampled image."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Axis:
    """Bilinear weights along one axis: each target pixel mixes two neighbouring source pixels.

    ``low`` and ``high`` are their indices within ``source``; ``low_share`` and ``high_share`` the weights, 0
    for pixels outside the source image.
    """

    source: slice
    low: torch.Tensor
    high: torch.Tensor
    low_share: torch.Tensor
    high_share: torch.Tensor

    @classmethod
    def of(cls, target: slice, *, size: int, inner: int, at: int, side: int, reverse: bool) -> Axis:
        """Compute the weights for mapping a network input back onto a frame axis.

        Parameters
        ----------
        target : slice
            Frame pixels to compute: at least one, all within ``size``.
        size, inner, at, side : int
            The axis has ``size`` pixels and fills ``inner`` pixels, from ``at`` on, of an input of ``side``.
        reverse : bool
            Whether the axis was reversed before it was fitted.
        """
        pixels = torch.arange(target.start, target.stop, dtype=torch.float64)
        if reverse:
            pixels = size - 1 - pixels
        places = ((pixels + 0.5) * (inner / size) - 0.5).clamp(min=0)
        low = places.floor().long().clamp(max=inner - 1)
        share = places - low
        low, high = low + at, (low + 1).clamp(max=inner - 1) + at
        inside = [(0 <= index) & (index < side) for index in (low, high)]
        low, high = low.clamp(0, side - 1), high.clamp(0, side - 1)
        start = int(torch.minimum(low, high).min())
        source = slice(start, int(torch.maximum(low, high).max()) + 1)
        shares = [
            (weight * visible).float() for weight, visible in zip((1 - share, share), inside, strict=True)
        ]
        return cls(source, low - start, high - start, *shares)

    @property
    def matrix(self) -> torch.Tensor:
        """Weights ``(target, source)`` as a dense matrix."""
        weights = torch.zeros(len(self.low), self.source.stop - self.source.start)
        weights.scatter_add_(1, self.low[:, None], self.low_share[:, None])
        return weights.scatter_add_(1, self.high[:, None], self.high_share[:, None])


def resample(planes: torch.Tensor, rows: Axis, cols: Axis) -> torch.Tensor:
    """Resample planes ``(..., S, S)`` at the target rows and columns ``(..., h, w)``."""
    across = planes[..., rows.source, cols.source] @ cols.matrix.T
    upper = across.index_select(-2, rows.low).mul_(rows.low_share[:, None])
    return upper.addcmul_(across.index_select(-2, rows.high), rows.high_share[:, None])
