"""One patient through one model: how open its EF is, and what each image adds to that."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cardiolabel.active_learning.diversity import thumbnail
from cardiolabel.domain import Convention, Method, Phase, Record
from cardiolabel.errors import ImageContentError, MeasurementError
from cardiolabel.inference.predictor import FRAMES_AT_ONCE, Predictor, Prepared
from cardiolabel.io.image_file import ImageFile
from cardiolabel.measurements.records import MaskedImage, PatientRow, Study
from cardiolabel.measurements.study import measure_study
from cardiolabel.measurements.volume import slice_summation_ml
from cardiolabel.models.models import check_view
from cardiolabel.preprocessing.recipes import Output
from cardiolabel.studies.predicted import masked_image
from cardiolabel.uncertainty.ef_distribution import (
    EfDraws,
    Frame,
    Way,
    ef_draws,
    needed_frames,
    short_axis_draws,
)
from cardiolabel.uncertainty.out_of_distribution import Pictures, flags_of
from cardiolabel.uncertainty.sampled_masks import Doubt, Variants, doubt, input_spacing, looks
from cardiolabel.uncertainty.swapped_views import SWAPPED, Views


@dataclass(frozen=True, eq=False)
class Seen:
    """An image, and what a person drew of it, if one did."""

    record: Record
    image: ImageFile
    drawn: MaskedImage | None = None


@dataclass(frozen=True, eq=False)
class ImageScore:
    """What a model leaves open about one image.

    ``entropy``, ``disagreement`` and ``expected_dice`` as `Doubt`, means over the frames that volumes are
    measured on; None of an image that a person has drawn on. ``embedding``: `thumbnail` of the middle frame.
    ``flags``: why the picture may not be what the model is for.
    """

    image_id: str
    entropy: float | None
    disagreement: float | None
    expected_dice: float | None
    embedding: NDArray[np.float32]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class PatientScore:
    """What a model leaves open about one patient.

    Attributes
    ----------
    images : tuple of ImageScore
    study : Study
        Measured from the model's masks and those that persons drew.
    draws : mapping
        `EfDraws` by method and convention, the most trusted first; what is not there was not measurable.
    reason : str
        Why nothing was.
    """

    patient: str
    images: tuple[ImageScore, ...]
    study: Study
    draws: dict[Way, EfDraws]
    reason: str = ""

    def best(self, convention: Convention = Convention.GUIDELINE) -> tuple[PatientRow, EfDraws] | None:
        """The most trusted method that could be measured in a convention."""
        rows = {(row.method, row.convention): row for row in self.study.rows}
        return next(((rows[way], draws) for way, draws in self.draws.items() if way[1] is convention), None)


def score_patient(
    images: Sequence[Seen], predictor: Predictor, *, conventions: Collection[Convention] = tuple(Convention)
) -> PatientScore:
    """Predict a patient's images in several ways each, and measure what EF could be.

    Parameters
    ----------
    images : sequence of Seen
        All of one patient.
    predictor : Predictor
    conventions : collection of Convention

    Raises
    ------
    ImageContentError
        The model gives no probabilities of classes, or is not for one of the views.
    """
    if predictor.recipe.output is not Output.CLASSES:
        raise ImageContentError(f"model {predictor.card.name} gives landmarks: how sure it is cannot be said")
    looked = [_Looked(one, predictor) for one in images]
    study = measure_study([one.masked for one in looked])
    wanted: dict[str, list[int]] = {one.seen.record.image_id: [] for one in looked}
    for image_id, frame in needed_frames(study):
        wanted[image_id].append(frame)
    for one in looked:
        one.look_again(wanted[one.seen.record.image_id])
    draws: dict[Way, EfDraws] = {}
    reasons = [row.reason for row in study.rows if row.reason]
    for row in sorted(study.rows, key=lambda row: row.method.rank):
        if row.ef_pct is None or row.convention not in conventions:
            continue
        try:
            draws[row.method, row.convention] = _draws(looked, study, row)
        except MeasurementError as error:
            reasons.append(str(error))
    return PatientScore(
        study.patient,
        _scores(looked, Views.from_card(predictor.card.views)),
        study,
        draws,
        "" if draws else "; ".join(dict.fromkeys(reasons)),
    )


class _Looked:
    """An image as the model sees it; stills at once in several ways, of others the frames that count."""

    def __init__(self, seen: Seen, predictor: Predictor) -> None:
        self.seen, self._predictor = seen, predictor
        check_view(predictor.card.name, predictor.recipe.views, seen.record)
        self._prepared: Prepared = predictor.prepare(seen.image.clip)
        self.doubts: dict[int, Doubt] = {}
        self.masked: MaskedImage = seen.drawn or masked_image(
            seen.record, self._masks(), seen.image.grid, predictor.labels
        )

    @property
    def is_stack(self) -> bool:
        return self.seen.record.view.is_stack

    def look_again(self, frames: list[int]) -> None:
        """Doubt those frames of a cine, or its middle one, and all slices of a stack."""
        if self.seen.drawn is not None:
            return
        count = len(self._prepared.frames)
        for frame in range(count) if self.is_stack else frames or [count // 2]:
            if frame not in self.doubts:
                self._doubt(frame)

    def variants(self) -> dict[Frame, Variants | None]:
        return {(self.seen.record.image_id, frame): one.variants for frame, one in self.doubts.items()}

    def volumes_ml(self) -> NDArray[np.float64]:
        """Volume ``(M,)`` of a stack by each of its masks."""
        stack = self.masked
        pixel = input_spacing(self._prepared.place, stack.spacing)
        if stack.spacing is None or pixel is None or not stack.slice_spacing_mm:
            raise MeasurementError(f"{stack.image_id}: the file carries no pixel or slice spacing")
        if self.seen.drawn is not None:
            cavity = (stack.masks == stack.labels.value("lv_cavity")).sum(axis=(1, 2))
            areas = cavity[:, None] * stack.spacing.pixel_area_mm2
        else:
            cavity = np.stack([self.doubts[frame].cavity_px for frame in sorted(self.doubts)])
            areas = cavity * pixel.pixel_area_mm2
        return np.array(
            [slice_summation_ml(column, slice_spacing_mm=stack.slice_spacing_mm) for column in areas.T]
        )

    def score(self) -> ImageScore:
        frames, clip = self._prepared.frames, self.seen.image.clip.pixels
        middle = len(frames) // 2
        embedding = thumbnail(frames[middle, 0])
        pictures = Pictures.from_card(self._predictor.card.pictures)

        def mean(name: str) -> float | None:
            values = [getattr(one, name) for one in self.doubts.values()]
            return float(np.mean(values)) if values else None

        return ImageScore(
            self.seen.record.image_id,
            mean("entropy"),
            mean("disagreement"),
            mean("expected_dice"),
            embedding,
            flags_of(clip[middle], embedding, pictures, dataset=self.seen.record.dataset),
        )

    def _masks(self) -> NDArray[np.uint8]:
        frames, place = self._prepared.frames, self._prepared.place
        if len(frames) == 1:
            return self._predictor.masks(self._doubt(0), place)
        pieces = [
            self._predictor.masks(
                self._predictor.engine.logits(frames[start : start + FRAMES_AT_ONCE]), place
            )
            for start in range(0, len(frames), FRAMES_AT_ONCE)
        ]
        return np.concatenate(pieces)

    def _doubt(self, frame: int) -> NDArray[np.float32]:
        """Note what is open about a frame; returns its logits ``(1, C, S, S)``."""
        logits = looks(self._predictor.engine, self._prepared.frames[frame : frame + 1])
        spacing = self.seen.image.grid.spacing
        place = self._prepared.place
        self.doubts[frame] = doubt(logits, self._predictor.recipe, place=place, spacing=spacing)
        return logits[:1]


def _scores(looked: Sequence[_Looked], views: Views | None) -> tuple[ImageScore, ...]:
    """Of images; that their views are swapped can be said only of pictures that nothing else is said of."""
    scores = tuple(one.score() for one in looked)
    if views is None or any(one.flags for one in scores):
        return scores
    pictured = [(one.seen.record.view, score.embedding) for one, score in zip(looked, scores, strict=True)]
    return tuple(replace(one, flags=(SWAPPED,)) for one in scores) if views.are_swapped(pictured) else scores


def _draws(looked: Sequence[_Looked], study: Study, row: PatientRow) -> EfDraws:
    if row.method is Method.SLICE_SUMMATION:
        stacks = {one.seen.record.image_id: one for one in looked if one.is_stack}
        ed, es = (stacks[study.stacks[phase]] for phase in (Phase.ED, Phase.ES))
        return short_axis_draws(
            (ed.seen.record.image_id, ed.volumes_ml()), (es.seen.record.image_id, es.volumes_ml())
        )
    variants = {frame: found for one in looked for frame, found in one.variants().items()}
    return ef_draws(study, variants, method=row.method, convention=row.convention)
