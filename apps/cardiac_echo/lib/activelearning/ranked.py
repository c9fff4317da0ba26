"""Strategies that rank patients by scores."""

from __future__ import annotations

from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from cardiolabel.active_learning.worklist import Worklist
from cardiolabel.store.store import Store
from lib.activelearning.first import left
from lib.server.errors import refused

DESCRIPTIONS = {
    "stratified": "Patients at random, as many of each view, phase and image quality as there are",
    "entropy": "The least certain masks first",
    "diversity": "First who stands for most of the others",
    "ef_uncertainty": "The EF that masks leave most open first, and of it the image that does so",
    "hybrid": "Diversity for the first ten patients, then who stands for most of what is open in EF",
}
"""Descriptions by the names of `cardiolabel.active_learning.selection.STRATEGIES`."""


class Ranked(Strategy):
    """A strategy of `cardiolabel.active_learning.selection`.

    Parameters
    ----------
    name : str
    worklist : Worklist
        Hands the images out.
    store : Store
    lease_s : float
        How long an image stays with its annotator.
    """

    def __init__(self, name: str, worklist: Worklist, store: Store, *, lease_s: float) -> None:
        super().__init__(DESCRIPTIONS[name])
        self._name, self._worklist, self._store, self._lease_s = name, worklist, store, lease_s

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Return ``{"id", "lease", "why"}``, or ``{"reason": …}`` when nothing is left for this annotator."""
        annotator = str(request.get("client_id") or "")
        choice = self._worklist.hand_out(
            self._name, annotator, seed=_seed(request.get("seed")), seconds=self._lease_s
        )
        if choice is None:
            return {"reason": left(self._store)}
        return {"id": choice.lease.image_id, "lease": choice.lease.as_json(), "why": choice.why}


def _seed(value: object) -> int:
    """Return the seed as a whole number; 0 without one."""
    try:
        number = int(str(value or 0))
    except ValueError:
        number = -1
    if not 0 <= number < 2**32:
        raise refused(422, "bad_seed", f"seed {value!r}: expected a whole number from 0 to {2**32 - 1}")
    return number
