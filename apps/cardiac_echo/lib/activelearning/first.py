"""Images in order, patient by patient."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from lib.engine import Engine


class Served:
    """When each image was last handed out, since this server started.

    An image that was handed out comes again only after all others, so that two annotators, or one who skips
    an image, are not given the same one for ever.
    """

    def __init__(self) -> None:
        self._turns: dict[str, int] = {}
        self._clock = itertools.count(1)
        self._lock = threading.Lock()

    def next(self, candidates: Sequence[str]) -> str:
        """The candidate that was handed out longest ago, or never; the earliest of equals."""
        with self._lock:
            chosen = min(candidates, key=lambda image_id: self._turns.get(image_id, 0))
            self._turns[chosen] = next(self._clock)
            return chosen


class First(Strategy):
    """The first image without a final label; a patient's images follow one another.

    Parameters
    ----------
    engine : Engine
        Knows the images and their patients.
    served : Served, optional
        Shared with other strategies.
    """

    def __init__(
        self,
        engine: Engine,
        served: Served | None = None,
        description: str = "In order, patient by patient",
    ) -> None:
        super().__init__(description)
        self._engine = engine
        self.served = served or Served()

    def order(self, patients: list[str], request: dict[str, Any]) -> list[str]:
        """Patients in the order in which they are served."""
        return patients

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, str]:
        """``{"id": image_id}``, or nothing when every image has a final label."""
        unlabelled = set(datastore.get_unlabeled_images())
        waiting: dict[str, list[str]] = {}
        for record in self._engine.studies.records():
            if record.image_id in unlabelled:
                waiting.setdefault(record.patient, []).append(record.image_id)
        images = [image_id for patient in self.order(list(waiting), request) for image_id in waiting[patient]]
        return {"id": self.served.next(images)} if images else {}
