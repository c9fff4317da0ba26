"""Strategy `random`: patients in an arbitrary order that a seed repeats."""

from __future__ import annotations

from typing import Any

from cardiolabel.store.store import Store
from lib.activelearning.first import First


class Random(First):
    """Hands out patients in the order of their hashes, from the place of ``seed`` (else 0) on.

    The order does not depend on which patients are done, so that new studies reshuffle nothing.
    """

    def __init__(self, store: Store, *, lease_s: float) -> None:
        super().__init__(
            store,
            lease_s=lease_s,
            description="Patients in random order, each patient's images together",
        )

    def seed(self, request: dict[str, Any]) -> object:
        """Return the request's seed."""
        return request.get("seed") or 0

    def why(self, request: dict[str, Any]) -> str:
        """Return the seed."""
        return f"patients at random, seed {self.seed(request)}"
