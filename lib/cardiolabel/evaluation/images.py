"""Scores of one image's structures, and the validity of both masks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from cardiolabel.domain import Record
from cardiolabel.errors import ImageContentError
from cardiolabel.evaluation.drawn import Part, drawn_planes, labelled_parts
from cardiolabel.evaluation.metrics import Score, score
from cardiolabel.measurements.records import MaskedImage
from cardiolabel.measurements.short_axis import is_short_axis
from cardiolabel.measurements.structures import structure_values
from cardiolabel.measurements.validity import Finding, apical_findings, stack_findings

_EXPECTED = ("lv_cavity", "myocardium", "left_atrium")
"""Structures that a mask must have where the reference has them; LV models do not segment the RV."""


class Side(StrEnum):
    """Predicted or reference."""

    PREDICTED = "predicted"
    REFERENCE = "reference"


@dataclass(frozen=True)
class ScoreRow:
    """Scores of a structure of an image; the record's phase is that of the compared frames."""

    record: Record
    score: Score


@dataclass(frozen=True)
class ValidityRow:
    """Validity of one mask: of a frame counted from 0 or, with ``frame`` None, of a stack."""

    record: Record
    side: Side
    frame: int | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Compared:
    """Rows of an image, and the structures that its reference does not label."""

    record: Record
    scores: tuple[ScoreRow, ...]
    validity: tuple[ValidityRow, ...]
    not_drawn: tuple[str, ...]


def compare_image(
    record: Record,
    predicted: MaskedImage,
    reference: MaskedImage,
    segmented: Collection[str] | None = None,
    *,
    overlap_only: bool = False,
) -> Compared:
    """Compare the planes that a reference labels.

    Parameters
    ----------
    record : Record
    predicted, reference : MaskedImage
        Masks of one shape.
    segmented : collection of str, optional
        Structures that the predictions are of, where that is known: no others are missing from them.
    overlap_only : bool
        Leave out distances of boundaries, and each mask by itself: most of the time that it takes.

    Raises
    ------
    ImageContentError
        The reference is empty: it says nothing.
    """
    parts = labelled_parts(record, reference.masks)
    if not parts:
        raise ImageContentError("reference mask: empty, it labels nothing")
    scores: list[ScoreRow] = []
    validity: list[ValidityRow] = []
    not_drawn: dict[str, None] = {}
    for part in parts:
        own = replace(record, phase=part.phase)
        for structure, values in structure_values(reference.labels).items():
            drawn = drawn_planes(record, reference.masks, structure)[part.planes]
            planes = part.planes[drawn]
            if not planes.size:
                not_drawn[structure] = None
                continue
            structure_score = score(
                predicted.masks[planes],
                reference.masks[planes],
                structure=structure,
                values=values,
                spacing=None if overlap_only else reference.spacing,
                volume=is_short_axis(reference),
            )
            scores.append(ScoreRow(own, structure_score))
        if not overlap_only:
            validity += _validity(own, part, predicted, reference, segmented)
    return Compared(record, tuple(scores), tuple(validity), tuple(not_drawn))


def _validity(
    record: Record,
    part: Part,
    predicted: MaskedImage,
    reference: MaskedImage,
    segmented: Collection[str] | None,
) -> Iterator[ValidityRow]:
    labels, spacing = reference.labels, reference.spacing
    named = [name for name in _EXPECTED if labels.has(name)]
    frames = (None,) if is_short_axis(reference) else tuple(part.planes.tolist())
    for frame in frames:
        reference_plane = reference.masks if frame is None else reference.masks[frame]
        drawn = [name for name in named if (reference_plane == labels.value(name)).any()]
        names = [name for name in drawn if segmented is None or name in segmented]
        for side, image, expected in (
            (Side.PREDICTED, predicted, names),
            (Side.REFERENCE, reference, drawn),
        ):
            if frame is None:
                findings = stack_findings(image.masks, labels=labels, spacing=spacing, expected=expected)
            else:
                findings = apical_findings(
                    image.masks[frame], labels=labels, spacing=spacing, expected=expected
                )
            yield ValidityRow(record, side, frame, findings)
