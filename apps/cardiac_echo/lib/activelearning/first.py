"""Strategy `first`: images in the folder's order, patient by patient."""

from __future__ import annotations

from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from cardiolabel.store.store import Store


class First(Strategy):
    """Hands out images without a final label in the folder's order; a patient's images follow one another.

    Parameters
    ----------
    store : Store
        Hands the images out.
    lease_s : float
        How long an image stays with its annotator.
    """

    def __init__(
        self, store: Store, *, lease_s: float, description: str = "In order, patient by patient"
    ) -> None:
        super().__init__(description)
        self._store, self._lease_s = store, lease_s

    def seed(self, request: dict[str, Any]) -> object:
        """None for the folder's order."""
        return None

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Return ``{"id": image_id, "lease": …}``, or ``{"reason": …}`` when nothing is left for this
        annotator.
        """
        annotator = str(request.get("client_id") or "")
        lease = self._store.hand_out(annotator, seed=self.seed(request), seconds=self._lease_s)
        if lease:
            return {"id": lease.image_id, "lease": lease.as_json(), "why": self.why(request)}
        return {"reason": left(self._store)}

    def why(self, request: dict[str, Any]) -> str:
        """Return the reason for this image."""
        return "the next one in the folder's order"


def left(store: Store) -> str:
    """Return the reason why there is nothing to hand out."""
    total, tags = store.counted()
    others = len(store.leases())
    done = f"{tags.get('final', 0)} of {total} images have a final label"
    return f"{done}; {others} more are with annotators" if others else done
