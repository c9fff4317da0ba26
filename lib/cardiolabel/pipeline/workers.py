"""Interface between a folder's run and its workers."""

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
    """Options of a run, as given to `infer_folder`."""

    out: Path
    resume: bool
    overlays: bool = False


@dataclass(frozen=True, eq=False)
class Done:
    """A finished patient: numbers of images, resumed masks and problems, as in `Summary`."""

    study: Study
    images: int
    resumed: int
    problems: tuple[tuple[str, str], ...]


class Workers(Protocol):
    """Predicts and measures patients in this process (`infer_patients`) or in others."""

    def __call__(
        self,
        patients: Iterable[Sequence[Record]],
        predictor: Predictor,
        options: Options,
        *,
        on_image: Callable[[int], None],
    ) -> Generator[Done]:
        """Predict and measure, as `infer_patients`."""
