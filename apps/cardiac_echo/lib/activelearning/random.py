"""Patients in an arbitrary order that a seed repeats."""

from __future__ import annotations

import hashlib
from typing import Any

from lib.activelearning.first import First, Served
from lib.engine import Engine


class Random(First):
    """As `First`, with the patients ranked by the SHA-256 of seed and name; ``seed`` in the request, else 0.

    The order of the patients does not depend on which are done, so that a batch of new studies reshuffles
    nothing.
    """

    def __init__(self, engine: Engine, served: Served | None = None) -> None:
        super().__init__(
            engine, served, description="Patients in random order, each patient's images together"
        )

    def order(self, patients: list[str], request: dict[str, Any]) -> list[str]:
        """Patients ranked under the request's seed."""
        seed = request.get("seed", 0)
        return sorted(patients, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
