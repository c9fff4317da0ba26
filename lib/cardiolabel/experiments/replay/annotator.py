"""A simulated annotator with known corrections, who uses MONAI Label's own client."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException

from cardiolabel.domain import Record
from cardiolabel.errors import CardiolabelError
from cardiolabel.io import nifti
from cardiolabel.io.mask_files import read_mask_on
from cardiolabel.measurements.mask_agreement import compare_masks
from cardiolabel.records.layout import FINAL, SUFFIX, file_of

_POLL_S, _TAKEN_UP_S = 1.0, 120.0
_ENDED = ("DONE", "REFUSED", "ERROR")


class ReplayError(CardiolabelError):
    """An answer of the server that a replay cannot continue with."""


@dataclass(frozen=True)
class Annotated:
    """Result of a round: images, seconds, and the mean LV Dice of the predictions before correction."""

    images: int
    seconds: float
    offered_lv_dice: float | None


class Annotator:
    """Takes the next image, predicts it, and submits the reference mask.

    Parameters
    ----------
    url : str
        Of the server.
    model : str
    labels : Path
        Folder of the right masks ``<image_id>.nii.gz``.
    home : Path
        For what the client downloads.
    """

    def __init__(self, url: str, model: str, labels: Path, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._client = MONAILabelClient(url, tmpdir=str(home), client_id="replay")
        self._model, self._labels = model, labels

    def annotate(
        self,
        records: Mapping[str, Record],
        *,
        version: str,
        on_progress: Callable[[int], None] = lambda done: None,
    ) -> Annotated:
        """Correct images until these are done.

        Parameters
        ----------
        wanted : mapping of str to Record
            By image id; the server hands out these before any others.
        version : str
            Of the model that is published; running servers take it up within seconds.
        on_progress : callable
            Told images done.

        Raises
        ------
        ReplayError
            The server hands out another image, refuses one, or goes on with another model.
        """
        start_s, left, dice = time.monotonic(), dict(records), list[float]()
        while left:
            image_id = str(self._ask(self._client.next_sample, "first", {}).get("id"))
            record = left.pop(image_id, None)
            if record is None:
                raise ReplayError(f"the server handed out {image_id!r}, which is not of this round")
            right = file_of(self._labels, image_id)
            dice += self._offered(record, right, version)
            self._ask(self._client.save_label, image_id, str(right), FINAL, {})
            on_progress(len(records) - len(left))
        mean = statistics.mean(dice) if dice else None
        return Annotated(len(records), time.monotonic() - start_s, mean)

    def retrain(
        self, settings: Mapping[str, Any], *, on_progress: Callable[[Mapping[str, Any]], None]
    ) -> Mapping[str, Any]:
        """Retrain the model, and wait for its final status.

        Raises
        ------
        ReplayError
            It failed.
        """
        self._ask(self._client.train_start, self._model, dict(settings))
        while True:
            task = self._ask(self._client.train_status)
            status: Mapping[str, Any] = task.get("progress") or {}
            if task["status"] in _ENDED:
                if task["status"] == "ERROR" or status.get("state") not in ("published", "refused"):
                    raise ReplayError(f"retraining failed: {status.get('reason') or task}")
                return status
            on_progress(status)
            time.sleep(_POLL_S)

    def _offered(self, record: Record, right: Path, version: str) -> list[float]:
        """Return the Dice of what is predicted before it is corrected."""
        path = self._predicted(record, version)
        try:
            predicted, grid = nifti.read_placed_mask(path)
            drawn = read_mask_on(right, grid, record.labels, stack=record.is_stack)
            structures = compare_masks(
                predicted, drawn, labels=record.labels, spacing=None, stack=record.is_stack
            )
        finally:
            path.unlink()
        return [
            structure.dice
            for structure in structures
            if structure.structure == "lv_cavity" and structure.dice is not None
        ]

    def _predicted(self, record: Record, version: str) -> Path:
        deadline = time.monotonic() + _TAKEN_UP_S
        while True:
            file, info = self._ask(
                self._client.infer, self._model, record.image_id, {"result_extension": SUFFIX}
            )
            if info["model"]["version"] == version:
                return Path(file)
            Path(file).unlink()
            if time.monotonic() > deadline:
                raise ReplayError(f"the server still predicts by {info['model']['version']}, not {version}")
            time.sleep(_POLL_S)

    @staticmethod
    def _ask(call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            answer = call(*arguments)
        except (MONAILabelClientException, OSError) as error:
            raise ReplayError(f"the server refused: {getattr(error, 'msg', None) or error}") from error
        return json.loads(answer) if isinstance(answer, str) else answer
