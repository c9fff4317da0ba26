"""Settings of a retraining."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cardiolabel.errors import DatasetError


@dataclass(frozen=True)
class Settings:
    """Settings of a retraining.

    Parameters
    ----------
    epochs : int
        How often each labelled frame is seen.
    learning_rate : float
        At its highest.
    from_scratch : bool
        Begin as the recipe does, not with the published model, and at its learning rate.
    device : str
        ``cpu`` or ``cuda``; empty for the GPU where there is one.
    """

    epochs: int = 10
    learning_rate: float = 2e-4
    from_scratch: bool = False
    device: str = ""

    def __post_init__(self) -> None:
        if not (1 <= self.epochs <= 1000 and 0 < self.learning_rate < 1):
            raise DatasetError("expected 1 to 1000 epochs and a learning rate between 0 and 1")
        if self.device not in devices() and self.device:
            raise DatasetError(f"no device {self.device[:40]!r}; there are: {', '.join(devices())}")


def devices() -> tuple[str, ...]:
    """Return the devices that can train here, the fastest first."""
    return ("cuda", "cpu") if torch.cuda.is_available() else ("cpu",)
