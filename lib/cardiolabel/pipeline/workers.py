"""What a folder's run asks of whoever does the work, and gets back."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cardiolabel.domain import Record
from cardiolabel.inference.predictor import Predictor
from cardiolabel.measurements.records import Study


@dataclass(frozen=True)
class Options:
    """What a run does beside predicting and measuring, as `infer_folder` was told."""

    out: Path
    resume: bool
    overlays: bool = False


@dataclass(frozen=True, eq=False)
class Done:
    """A patient that a run is through with: images, kept masks and problems as `Summary` counts them."""

    study: Study
    images: int
    resumed: int
    problems: tuple[tuple[str, str], ...]


class Workers(Protocol):
    """Who predicts and measures patients: this process (`infer_patients`), or others."""

    def __call__(
        self,
        patients: Iterable[Sequence[Record]],
        predictor: Predictor,
        options: Options,
        *,
        on_image: Callable[[int], None],
    ) -> Generator[Done]:
        """As `infer_patients`."""
