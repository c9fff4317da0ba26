"""A record: one image file and what the manifest or its name says about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from cardiolabel.domain.labels import LabelSet
from cardiolabel.domain.methods import Convention
from cardiolabel.domain.views import View, labels_of_view


class Phase(StrEnum):
    """Part of the cardiac cycle that an image shows."""

    ED = "ED"
    ES = "ES"
    CINE = "cine"


SPLITS = ("TRAIN", "VAL", "TEST")
"""Names of the parts of an official split."""


@dataclass(frozen=True)
class Record:
    """One image file with the data of its manifest row.

    Parameters
    ----------
    ed_frame, es_frame : int or None
        Frame numbers within a cine, counted from 1.
    reference_ef_pct : float or None
        EF that the dataset gives for the patient.
    reference_convention : Convention or None
        Convention of that EF.
    mm_per_pixel : float or None
        Side of a square pixel in mm, for files that state no size, such as videos; a file's own size wins.
    split : str or None
        Part of the dataset's official split, one of `SPLITS`.
    person : str or None
        Who the patient is, where studies of one person are measured apart as patients of their own.
    training_consent : bool or None
        The patient's consent that models are trained on the image; None where nobody was asked, so that the
        owner of the folder decides.

    Raises
    ------
    ValueError
        ``split`` is not in `SPLITS`; a misspelt one would let test patients into the training data.
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
    mm_per_pixel: float | None = None
    split: str | None = None
    person: str | None = None
    training_consent: bool | None = None

    def __post_init__(self) -> None:
        if self.split not in (None, *SPLITS):
            raise ValueError(f"split {self.split!r}: expected one of {', '.join(SPLITS)}")

    @property
    def split_unit(self) -> str:
        """Name of the person, whose images are never divided between training and judging."""
        return self.person or self.patient

    @property
    def labels(self) -> LabelSet:
        """Label set of the image's stored masks."""
        return labels_of_view(self.view)

    @property
    def is_stack(self) -> bool:
        """Whether the third axis counts slices rather than frames."""
        return self.view.is_stack
