"""Adapter that feeds grey images to networks made for RGB."""

from __future__ import annotations

import torch


class GreyToThree(torch.nn.Module):
    """Repeats grey images ``(N, 1, S, S)`` on three channels for a network made for RGB.

    Parameters
    ----------
    network : torch.nn.Module
        Takes ``(N, 3, S, S)``.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Compute logits ``(N, C, S, S)``."""
        logits: torch.Tensor = self.network(images.expand(-1, 3, -1, -1))
        return logits
