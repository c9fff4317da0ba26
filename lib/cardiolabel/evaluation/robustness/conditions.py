"""Rows of the robustness table, counted image by image and patient by patient."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Convention
from cardiolabel.evaluation.patients import PairRow
from cardiolabel.evaluation.robustness.corruptions import Corruption
from cardiolabel.measurements.agreement import MIN_PAIRS
from cardiolabel.measurements.bootstrap import Interval, bootstrap_intervals

LV = "lv_cavity"
FAILED_BELOW = 0.8
"""LV Dice below which a mask is drawn anew rather than corrected."""


@dataclass(frozen=True)
class Drop:
    """Loss by a corruption in Dice points (1/100): mean over patients, bootstrap 95 % interval.

    ``interval`` is None with fewer than three patients.
    """

    points: float
    interval: Interval | None


@dataclass(frozen=True)
class Condition:
    """Row of one corruption.

    ``dice`` and ``drop`` are by structure: the mean over images, and the loss against uncorrupted images.
    ``failed_share`` is the share of images with an LV Dice below `FAILED_BELOW`, None without an LV. ``efs``
    holds predicted and reference EF in per cent, in the guideline convention, of the patients measurable on
    both sides; ``ef_patients`` counts those measurable by their reference.
    """

    corruption: Corruption
    images: int
    patients: int
    dice: Mapping[str, float]
    drop: Mapping[str, Drop]
    failed_share: float | None
    efs: tuple[tuple[float, float], ...]
    ef_patients: int

    @property
    def ef_mae_points(self) -> float | None:
        """Mean absolute EF difference in points."""
        return float(np.abs(self._ef_differences).mean()) if self.efs else None

    @property
    def ef_bias_points(self) -> float | None:
        """Mean EF difference, predicted minus reference, in points."""
        return float(self._ef_differences.mean()) if self.efs else None

    @property
    def _ef_differences(self) -> NDArray[np.float64]:
        predicted, reference = np.array(self.efs).T
        return np.asarray(predicted - reference)


@dataclass(eq=False)
class Tally:
    """Scores under one corruption so far.

    ``dices`` is by structure, then by patient and image; ``efs`` has predicted and reference EF of every
    patient with a measurable reference, the predicted one None where it cannot be measured.
    """

    corruption: Corruption
    dices: dict[str, dict[tuple[str, str], float]] = field(default_factory=lambda: defaultdict(dict))
    efs: list[tuple[float | None, float]] = field(default_factory=list)

    def add_pairs(self, rows: Sequence[PairRow]) -> None:
        """Add a patient's EF in the guideline convention, by the best method that the reference allows."""
        efs = [
            (row.reference.method.rank, row.predicted.ef_pct, row.reference.ef_pct)
            for row in rows
            if row.reference.convention is Convention.GUIDELINE and row.reference.ef_pct is not None
        ]
        if efs:
            _, predicted, reference = min(efs, key=lambda ef: ef[0])
            self.efs.append((predicted, reference))

    def condition(self, plain: Tally, *, seed: int) -> Condition:
        """Return the row, with losses against uncorrupted images.

        Parameters
        ----------
        plain : Tally
            Of the same images.
        seed : int
            For the intervals.
        """
        images = {key for dices in self.dices.values() for key in dices}
        lv = list(self.dices.get(LV, {}).values())
        return Condition(
            corruption=self.corruption,
            images=len(images),
            patients=len({patient for patient, _ in images}),
            dice={name: float(np.mean(list(dices.values()))) for name, dices in self.dices.items()},
            drop={name: _drop(plain.dices[name], dices, seed) for name, dices in self.dices.items()},
            failed_share=float(np.mean(np.array(lv) < FAILED_BELOW)) if lv else None,
            efs=tuple((ours, theirs) for ours, theirs in self.efs if ours is not None),
            ef_patients=len(self.efs),
        )


def _drop(
    plain: Mapping[tuple[str, str], float], corrupted: Mapping[tuple[str, str], float], seed: int
) -> Drop:
    """Average over patients, each counted once whatever its number of images."""
    before, after = (
        100 * np.array([np.mean(own) for own in _by_patient(dices).values()], dtype=np.float64)
        for dices in (plain, corrupted)
    )
    enough = len(before) >= MIN_PAIRS
    interval = bootstrap_intervals(before, after, seed=seed).bias if enough else None
    return Drop(float((before - after).mean()), interval)


def _by_patient(dices: Mapping[tuple[str, str], float]) -> dict[str, list[float]]:
    values_of: dict[str, list[float]] = {}
    for (patient, _), dice in dices.items():
        values_of.setdefault(patient, []).append(dice)
    return values_of
