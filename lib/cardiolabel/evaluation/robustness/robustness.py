"""How a model's masks hold up when pictures get worse: each image predicted as it is and corrupted."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Clip, Record
from cardiolabel.errors import DatasetError, ImageContentError, InputError
from cardiolabel.evaluation.drawn import drawn_planes, labelled_parts
from cardiolabel.evaluation.metrics import score
from cardiolabel.evaluation.patients import pair_patient
from cardiolabel.evaluation.robustness.conditions import LV, Condition, Tally
from cardiolabel.evaluation.robustness.corruptions import Corruption, Masks, corruptions
from cardiolabel.evaluation.sources import Sources, open_sources
from cardiolabel.inference.predictor import Predictor
from cardiolabel.measurements.records import MaskedImage
from cardiolabel.measurements.short_axis import is_short_axis
from cardiolabel.measurements.structures import structure_values
from cardiolabel.records.layout import StudiesLayout
from cardiolabel.records.patient_split import HELD_BACK


@dataclass(frozen=True, eq=False)
class Shot:
    """A clip as the model saw it, and the predicted and the reference masks (T, H, W) on its grid."""

    corruption: Corruption
    clip: Clip
    predicted: Masks
    reference: Masks


@dataclass(frozen=True, eq=False)
class Robustness:
    """What `measure_robustness` found.

    ``conditions`` are in the order of `cardiolabel.evaluation.robustness.corruptions.corruptions`, the
    first without corruption; ``examples`` show one plane of ``example_image`` in each, ``lv_value`` is its
    cavity. ``splits`` are the parts of the official split that the patients are of; ``problems`` pair an
    image or a patient with why it is not among them.
    """

    model: str
    selection: str
    splits: tuple[str, ...]
    structures: tuple[str, ...]
    conditions: tuple[Condition, ...]
    example_image: str
    examples: tuple[Shot, ...]
    lv_value: int
    problems: tuple[tuple[str, str], ...]
    seed: int


def measure_robustness(
    studies: Path,
    predictor: Predictor,
    *,
    patients: Path | None = None,
    splits: Sequence[str] = (),
    limit: int | None = None,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Robustness:
    """Predict every labelled image as it is and corrupted, and compare with its reference.

    Of a cine only the labelled frames are predicted. Where a corruption moves pixels, the reference moves
    with them; EF is compared with that of the reference as it was drawn.

    Parameters
    ----------
    studies : Path
        A studies folder with ``labels/final``.
    predictor : Predictor
        The model; images of its views are used.
    patients : Path, optional
        A text file of the patients to judge by.
    splits : sequence of str
        Parts of the official split to judge by. Without it and ``patients``, those that are held back from
        training (VAL, TEST), or, where the manifest has no split, all patients.
    limit : int, optional
        Use the first so many patients only.
    seed : int
        For what is random in corruptions, and for intervals.
    on_progress : callable
        Called with predictions done and in all.

    Raises
    ------
    DatasetError, ManifestError
        No labelled image of these patients and of the model's views.
    """
    sources = _sources(studies, patients, splits)
    records = _chosen(sources, predictor, limit)
    tallies = [Tally(corruption) for corruption in corruptions(predictor.recipe.views)]
    examples: list[Shot] = []
    example_image = ""
    problems = [(name, "no image of this patient in the studies folder") for name in sources.absent_patients]
    done, total = 0, len(records) * len(tallies)
    for patient, of_patient in groupby(records, key=lambda record: record.patient):
        own = list(of_patient)
        images, reasons = _read(own, sources)
        problems += reasons.items()
        done += len(reasons) * len(tallies)
        references = {image.record.image_id: image.reference for image in images}
        example_image = example_image or next(iter(references), "")
        for tally in tallies:
            masks = {}
            for image in images:
                image_id = image.record.image_id
                shot = _shoot(image, tally.corruption, predictor, seed)
                masks[image_id] = image.masked(shot)
                for name, dice in _dices(image, shot, predictor).items():
                    tally.dices[name][patient, image_id] = dice
                if image_id == example_image:
                    examples.append(_fullest_plane(shot, image))
                done += 1
                on_progress(done, total)
            tally.add_pairs(pair_patient(own, masks, references, reasons))
    if not examples:
        image_id, reason = problems[-1]
        raise DatasetError(f"{studies}: no image can be compared; {image_id}: {reason}")
    return Robustness(
        model=f"{predictor.card.name} {predictor.card.version}",
        selection=sources.selection + (f", the first {limit} patients" if limit else ""),
        splits=tuple(sorted({record.split for record in records if record.split})),
        structures=tuple(tallies[0].dices),
        conditions=tuple(tally.condition(tallies[0], seed=seed) for tally in tallies),
        example_image=example_image,
        examples=tuple(examples),
        lv_value=predictor.labels.value(LV),
        problems=tuple(problems),
        seed=seed,
    )


@dataclass(frozen=True, eq=False)
class _Image:
    """An image, its reference, and which planes (N,) that labels."""

    record: Record
    clip: Clip
    reference: MaskedImage
    planes: NDArray[np.intp]

    def masked(self, shot: Shot) -> MaskedImage:
        """Return the image with what was predicted in its labelled planes, on the corrupted picture's
        grid.
        """
        masks = np.zeros((len(self.reference.masks), *shot.predicted.shape[1:]), dtype=np.uint8)
        masks[self.planes] = shot.predicted
        return replace(self.reference, masks=masks, spacing=shot.clip.spacing)


def _sources(studies: Path, patients: Path | None, splits: Sequence[str]) -> Sources:
    """References, which stand in for predicted masks here, of the patients asked for."""
    final = StudiesLayout(studies).final
    if not final.is_dir():
        raise DatasetError(f"{studies}: no folder labels/final; expected a studies folder with references")
    sources = open_sources(final, studies, patients=patients, splits=splits)
    present = {record.split for record in sources.records if record.split}
    if patients is not None or splits or not present:
        return sources
    if not present & HELD_BACK:
        raise DatasetError(
            f"{studies}: all patients are of split {', '.join(sorted(present))}, none is held back from "
            "training; choose with --split or --patients"
        )
    return open_sources(final, studies, splits=sorted(present & HELD_BACK))


def _chosen(sources: Sources, predictor: Predictor, limit: int | None) -> list[Record]:
    views = predictor.recipe.views
    records = sorted(
        (record for record in sources.records if record.view in views),
        key=lambda record: (record.patient, record.image_id),
    )
    if not records:
        raise DatasetError(
            f"{sources.studies.folder}: model {predictor.card.name} is for {', '.join(sorted(views))}, and "
            f"no labelled image of {sources.selection} is of these views"
        )
    first = sorted({record.patient for record in records})[:limit]
    return [record for record in records if record.patient in first]


def _read(records: Sequence[Record], sources: Sources) -> tuple[list[_Image], dict[str, str]]:
    """Return a patient's images, and why others cannot be used."""
    images, reasons = [], {}
    for record in records:
        path = sources.reference_file(record)
        try:
            reference = sources.studies.masked(record, path)
            parts = labelled_parts(record, reference.masks)
            if not parts:
                raise ImageContentError("reference mask: empty, it labels nothing")
            clip = sources.studies.image(record).clip
        except (InputError, OSError) as error:
            reasons[record.image_id] = str(error)
            continue
        planes = np.sort(np.concatenate([part.planes for part in parts]))
        images.append(_Image(record, clip, reference, planes))
    return images, reasons


def _shoot(image: _Image, corruption: Corruption, predictor: Predictor, seed: int) -> Shot:
    """Predict one image in one condition; what is random depends on nothing but seed and names."""
    rng = np.random.default_rng((seed, zlib.crc32(f"{corruption.name} {image.record.image_id}".encode())))
    clip = replace(image.clip, pixels=image.clip.pixels[image.planes])
    worse, reference = corruption.change(clip, image.reference.masks[image.planes], rng)
    return Shot(corruption, worse, predictor.predict(worse), reference)


def _dices(image: _Image, shot: Shot, predictor: Predictor) -> dict[str, float]:
    """Return the Dice of the structures that the model names alike and that this image's reference has."""
    original = image.reference.masks[image.planes]
    named = structure_values(image.reference.labels)
    dices = {}
    for name, values in structure_values(predictor.labels).items():
        drawn = drawn_planes(image.record, image.reference.masks, name)[image.planes]
        if named.get(name) != values or not np.isin(values, original[drawn]).all():
            continue
        dice = score(
            shot.predicted[drawn],
            shot.reference[drawn],
            structure=name,
            values=values,
            spacing=None,
            volume=is_short_axis(image.reference),
        ).dice
        dices[name] = 1.0 if dice is None else dice  # too small for a coarser grid, and not predicted
    return dices


def _fullest_plane(shot: Shot, image: _Image) -> Shot:
    """Return the plane with the largest cavity alone."""
    cavity = image.reference.masks[image.planes] == image.reference.labels.value(LV)
    at = int(cavity.sum(axis=(1, 2)).argmax())
    plane = slice(at, at + 1)
    clip = replace(shot.clip, pixels=shot.clip.pixels[plane])
    return replace(shot, clip=clip, predicted=shot.predicted[plane], reference=shot.reference[plane])
