"""A record: one image file and what the manifest or its name says about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from cardiolabel.domain.labels import LabelSet
from cardiolabel.domain.methods import Convention
from cardiolabel.domain.views import View, labels_of_view


class Phase(StrEnum):
    """What part of the cardiac cycle an image holds."""

    ED = "ED"
    ES = "ES"
    CINE = "cine"


SPLITS = ("TRAIN", "VAL", "TEST")
"""Parts of a dataset's official split."""


@dataclass(frozen=True)
class Record:
    """One image file and what is known about it.

    ``ed_frame`` and ``es_frame`` are 1-based frame numbers within a cine. ``reference_ef_pct`` is
    the dataset's own EF and ``reference_convention`` how it was computed. ``split`` is the image's
    part in the dataset's official split, one of `SPLITS`.

    Raises
    ------
    ValueError
        ``split`` is none of them: patients to be held back would be trained on.
    """

    image_id: str
    patient: str
    view: View
    phase: Phase
    dataset: str
    path: Path = field(compare=False)
    ed_frame: int | None = None
    es_frame: int | None = None
    frame_rate_hz: float | None = None
    sex: str | None = None
    age_years: int | None = None
    image_quality: str | None = None
    reference_ef_pct: float | None = None
    reference_convention: Convention | None = None
    split: str | None = None

    def __post_init__(self) -> None:
        if self.split not in (None, *SPLITS):
            raise ValueError(f"split {self.split!r}: expected one of {', '.join(SPLITS)}")

    @property
    def labels(self) -> LabelSet:
        """What the values of its stored masks mean."""
        return labels_of_view(self.view)

    @property
    def is_stack(self) -> bool:
        """Whether its third axis counts slices, not frames."""
        return self.view.is_stack
