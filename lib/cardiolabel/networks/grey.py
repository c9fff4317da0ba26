"""One grey channel for networks that were made for colour."""

from __future__ import annotations

import torch


class GreyToThree(torch.nn.Module):
    """Gives a network for RGB pictures ``(N, 1, S, S)`` grey ones; the channels are equal.

    Parameters
    ----------
    network : torch.nn.Module
        Takes ``(N, 3, S, S)``.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(N, C, S, S)``."""
        logits: torch.Tensor = self.network(images.expand(-1, 3, -1, -1))
        return logits
