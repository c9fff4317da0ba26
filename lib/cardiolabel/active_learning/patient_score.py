"""Scores of one patient by one model: EF uncertainty, and the share of each image in it."""

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
    MethodKey,
    ef_draws,
    needed_frames,
    short_axis_draws,
)
from cardiolabel.uncertainty.out_of_distribution import ImageSubspace, flags_of
from cardiolabel.uncertainty.sampled_masks import (
    FrameUncertainty,
    SampledGeometries,
    augmented_logits,
    frame_uncertainty,
    input_spacing,
)
from cardiolabel.uncertainty.swapped_views import SWAPPED, ViewDirection


@dataclass(frozen=True, eq=False)
class ScoringImage:
    """An image to score, with the mask that a person drew, if any."""

    record: Record
    image: ImageFile
    drawn: MaskedImage | None = None


@dataclass(frozen=True, eq=False)
class ImageScore:
    """Scores of one image.

    ``entropy``, ``disagreement`` and ``expected_dice`` are those of `FrameUncertainty`, averaged over the
    frames that volumes are measured on, and None for an image with a person's mask. ``embedding`` is the
    `thumbnail` of the middle frame. ``flags`` are the reasons why the image may be out of distribution.
    """

    image_id: str
    entropy: float | None
    disagreement: float | None
    expected_dice: float | None
    embedding: NDArray[np.float32]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class PatientScore:
    """Scores of one patient.

    Attributes
    ----------
    images : tuple of ImageScore
    study : Study
        Measured from the predicted masks and those that persons drew.
    draws : mapping
        `EfDraws` by method and convention, the most trusted first, as far as they could be measured.
    reason : str
        Why none could be measured.
    """

    patient: str
    images: tuple[ImageScore, ...]
    study: Study
    draws: dict[MethodKey, EfDraws]
    reason: str = ""

    def best(self, convention: Convention = Convention.GUIDELINE) -> tuple[PatientRow, EfDraws] | None:
        """Return row and draws of the most trusted method that was measured in a convention."""
        rows = {(row.method, row.convention): row for row in self.study.rows}
        return next(((rows[way], draws) for way, draws in self.draws.items() if way[1] is convention), None)


def score_patient(
    images: Sequence[ScoringImage],
    predictor: Predictor,
    *,
    conventions: Collection[Convention] = tuple(Convention),
) -> PatientScore:
    """Predict a patient's images with test-time augmentation, and sample the EF.

    Parameters
    ----------
    images : sequence of ScoringImage
        All of one patient.
    predictor : Predictor
    conventions : collection of Convention

    Raises
    ------
    ImageContentError
        The model predicts no class probabilities, or does not segment one of the views.
    """
    if predictor.recipe.output is not Output.CLASSES:
        raise ImageContentError(
            f"model {predictor.card.name} predicts landmarks; EF uncertainty needs class probabilities"
        )
    all_augmented = [_AugmentedImage(image, predictor) for image in images]
    study = measure_study([augmented.masked for augmented in all_augmented])
    frames_of: dict[str, list[int]] = {augmented.source.record.image_id: [] for augmented in all_augmented}
    for image_id, frame in needed_frames(study):
        frames_of[image_id].append(frame)
    for augmented in all_augmented:
        augmented.augment(frames_of[augmented.source.record.image_id])
    draws: dict[MethodKey, EfDraws] = {}
    reasons = [row.reason for row in study.rows if row.reason]
    for row in sorted(study.rows, key=lambda row: row.method.rank):
        if row.ef_pct is None or row.convention not in conventions:
            continue
        try:
            draws[row.method, row.convention] = _draws(all_augmented, study, row)
        except MeasurementError as error:
            reasons.append(str(error))
    return PatientScore(
        study.patient,
        _scores(all_augmented, ViewDirection.from_card(predictor.card.views)),
        study,
        draws,
        "" if draws else "; ".join(dict.fromkeys(reasons)),
    )


class _AugmentedImage:
    """An image predicted with test-time augmentation: a still at once, a cine in the frames that count."""

    def __init__(self, source: ScoringImage, predictor: Predictor) -> None:
        self.source, self._predictor = source, predictor
        check_view(predictor.card.name, predictor.recipe.views, source.record)
        self._prepared: Prepared = predictor.prepare(source.image.clip)
        self.uncertainties: dict[int, FrameUncertainty] = {}
        self.masked: MaskedImage = source.drawn or masked_image(
            source.record, self._masks(), source.image.grid, predictor.labels
        )

    @property
    def is_stack(self) -> bool:
        return self.source.record.view.is_stack

    def augment(self, frames: list[int]) -> None:
        """Predict these frames of a cine, or its middle frame, or all slices of a stack."""
        if self.source.drawn is not None:
            return
        count = len(self._prepared.frames)
        for frame in range(count) if self.is_stack else frames or [count // 2]:
            if frame not in self.uncertainties:
                self._measure_uncertainty(frame)

    def geometries(self) -> dict[Frame, SampledGeometries | None]:
        return {
            (self.source.record.image_id, frame): uncertainty.geometries
            for frame, uncertainty in self.uncertainties.items()
        }

    def volumes_ml(self) -> NDArray[np.float64]:
        """Return the volumes ``(M,)`` of a stack by each of its sampled masks."""
        stack = self.masked
        pixel = input_spacing(self._prepared.place, stack.spacing)
        if stack.spacing is None or pixel is None or not stack.slice_spacing_mm:
            raise MeasurementError(f"{stack.image_id}: the file carries no pixel or slice spacing")
        if self.source.drawn is not None:
            cavity = (stack.masks == stack.labels.value("lv_cavity")).sum(axis=(1, 2))
            areas = cavity[:, None] * stack.spacing.pixel_area_mm2
        else:
            cavity = np.stack([self.uncertainties[frame].cavity_px for frame in sorted(self.uncertainties)])
            areas = cavity * pixel.pixel_area_mm2
        return np.array(
            [slice_summation_ml(column, slice_spacing_mm=stack.slice_spacing_mm) for column in areas.T]
        )

    def score(self) -> ImageScore:
        frames, clip = self._prepared.frames, self.source.image.clip.pixels
        middle = len(frames) // 2
        embedding = thumbnail(frames[middle, 0])
        pictures = ImageSubspace.from_card(self._predictor.card.pictures)

        def mean(name: str) -> float | None:
            values = [getattr(uncertainty, name) for uncertainty in self.uncertainties.values()]
            return float(np.mean(values)) if values else None

        return ImageScore(
            self.source.record.image_id,
            mean("entropy"),
            mean("disagreement"),
            mean("expected_dice"),
            embedding,
            flags_of(clip[middle], embedding, pictures, dataset=self.source.record.dataset),
        )

    def _masks(self) -> NDArray[np.uint8]:
        frames, place = self._prepared.frames, self._prepared.place
        if len(frames) == 1:
            return self._predictor.masks(self._measure_uncertainty(0), place)
        pieces = [
            self._predictor.masks(
                self._predictor.engine.logits(frames[start : start + FRAMES_AT_ONCE]), place
            )
            for start in range(0, len(frames), FRAMES_AT_ONCE)
        ]
        return np.concatenate(pieces)

    def _measure_uncertainty(self, frame: int) -> NDArray[np.float32]:
        """Store the uncertainty of a frame, and return its logits ``(1, C, S, S)``."""
        logits = augmented_logits(self._predictor.engine, self._prepared.frames[frame : frame + 1])
        spacing = self.source.image.grid.spacing
        place = self._prepared.place
        self.uncertainties[frame] = frame_uncertainty(
            logits, self._predictor.recipe, place=place, spacing=spacing
        )
        return logits[:1]


def _scores(all_augmented: Sequence[_AugmentedImage], views: ViewDirection | None) -> tuple[ImageScore, ...]:
    """Score images, and check for swapped views where no other flag is raised."""
    scores = tuple(augmented.score() for augmented in all_augmented)
    if views is None or any(score.flags for score in scores):
        return scores
    pictured = [
        (augmented.source.record.view, score.embedding)
        for augmented, score in zip(all_augmented, scores, strict=True)
    ]
    return (
        tuple(replace(score, flags=(SWAPPED,)) for score in scores) if views.are_swapped(pictured) else scores
    )


def _draws(all_augmented: Sequence[_AugmentedImage], study: Study, row: PatientRow) -> EfDraws:
    if row.method is Method.SLICE_SUMMATION:
        stacks = {
            augmented.source.record.image_id: augmented for augmented in all_augmented if augmented.is_stack
        }
        ed, es = (stacks[study.stacks[phase]] for phase in (Phase.ED, Phase.ES))
        return short_axis_draws(
            (ed.source.record.image_id, ed.volumes_ml()), (es.source.record.image_id, es.volumes_ml())
        )
    geometries = {
        frame: sampled for augmented in all_augmented for frame, sampled in augmented.geometries().items()
    }
    return ef_draws(study, geometries, method=row.method, convention=row.convention)
