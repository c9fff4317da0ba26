"""Devices of this server."""

from __future__ import annotations

import torch

from lib.server.errors import refused


def devices() -> tuple[str, ...]:
    """Return the names of the devices, as PyTorch has them."""
    return "cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))


def check_device(device: object) -> None:
    """Refuse an unknown device.

    Parameters
    ----------
    device : object
        A request's ``device``: a name, a list that begins with it as clients send that were offered one, or
        nothing.

    Raises
    ------
    HTTPException
        422, with the devices that there are.
    """
    first = (device[0] if device else None) if isinstance(device, list) else device
    if first is None or first == "" or first in devices() or (first == "cuda" and len(devices()) > 1):
        return
    raise refused(422, "unknown_device", f"no device {str(first)[:40]!r}; there are: {', '.join(devices())}")
