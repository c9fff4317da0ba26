"""Bilinear resampling of a part of a picture: what interpolating all of it would give there."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Axis:
    """Where wanted pixels of one axis come from: of ``source``, pixel ``low`` and the one after it.

    ``low`` and ``high`` count from the source's start; ``low_share`` and ``high_share`` are their weights, 0
    where a pixel lies outside the picture that is resampled.
    """

    source: slice
    low: torch.Tensor
    high: torch.Tensor
    low_share: torch.Tensor
    high_share: torch.Tensor

    @classmethod
    def of(cls, wanted: slice, *, size: int, inner: int, at: int, side: int, reverse: bool) -> Axis:
        """An axis of ``size`` pixels, fitted into ``inner`` pixels from ``at`` on of a picture of ``side``.

        Parameters
        ----------
        wanted : slice
            Pixels of the axis, at least one, none beyond it.
        reverse : bool
            The axis was turned around before it was fitted.
        """
        pixels = torch.arange(wanted.start, wanted.stop, dtype=torch.float64)
        if reverse:
            pixels = size - 1 - pixels
        places = ((pixels + 0.5) * (inner / size) - 0.5).clamp(min=0)
        low = places.floor().long().clamp(max=inner - 1)
        share = places - low
        low, high = low + at, (low + 1).clamp(max=inner - 1) + at
        inside = [(0 <= one) & (one < side) for one in (low, high)]
        low, high = low.clamp(0, side - 1), high.clamp(0, side - 1)
        start = int(torch.minimum(low, high).min())
        source = slice(start, int(torch.maximum(low, high).max()) + 1)
        shares = [(one * there).float() for one, there in zip((1 - share, share), inside, strict=True)]
        return cls(source, low - start, high - start, *shares)

    @property
    def matrix(self) -> torch.Tensor:
        """Weights ``(wanted, source)``."""
        weights = torch.zeros(len(self.low), self.source.stop - self.source.start)
        weights.scatter_add_(1, self.low[:, None], self.low_share[:, None])
        return weights.scatter_add_(1, self.high[:, None], self.high_share[:, None])


def resample(planes: torch.Tensor, rows: Axis, cols: Axis) -> torch.Tensor:
    """Planes ``(..., S, S)`` at the wanted rows and columns ``(..., h, w)``."""
    across = planes[..., rows.source, cols.source] @ cols.matrix.T
    found = across.index_select(-2, rows.low).mul_(rows.low_share[:, None])
    return found.addcmul_(across.index_select(-2, rows.high), rows.high_share[:, None])
