"""Volumes and EF of predicted and reference masks, and their agreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cardiolabel.domain import Convention, Method, Record
from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.agreement import agreement
from cardiolabel.measurements.bootstrap import Interval, bootstrap_intervals
from cardiolabel.measurements.records import MaskedImage, PatientRow
from cardiolabel.measurements.study import measure_study
from cardiolabel.reporting.bland_altman import PairedValues
from cardiolabel.reporting.rounding import rounded
from cardiolabel.studies.predicted import without_masks

QUANTITIES = {"ef_pct": "EF points", "edv_ml": "ml", "esv_ml": "ml"}
"""Compared quantities and the unit of their differences."""

FIGURES = ("r", "mae", "bias", "sd", "lower_limit", "upper_limit")
INTERVALS = ("r_interval", "mae_interval", "bias_interval")

CASES = "patients measurable on both sides"


@dataclass(frozen=True)
class PairRow:
    """A patient's row of one method and convention, from predicted and from reference masks."""

    predicted: PatientRow
    reference: PatientRow

    def both(self, quantity: str) -> tuple[float, float] | None:
        """Return the predicted and the reference value; None unless both were measured."""
        ours, theirs = getattr(self.predicted, quantity), getattr(self.reference, quantity)
        return None if ours is None or theirs is None else (ours, theirs)


def pair_patient(
    records: Sequence[Record],
    predicted: Mapping[str, MaskedImage],
    reference: Mapping[str, MaskedImage],
    problems: Mapping[str, str],
) -> tuple[PairRow, ...]:
    """Measure one patient twice, from the same images.

    An image with a problem on either side is left out of both, so that no difference comes from the choice of
    images.

    Parameters
    ----------
    records : sequence of Record
        The patient's images.
    predicted, reference : mapping of str to MaskedImage
        By image id; of the images without a problem.
    problems : mapping of str to str
        Why an image cannot be compared, by its id.
    """
    sides = [
        measure_study(
            [
                without_masks(record, record.labels, problems[record.image_id])
                if record.image_id in problems
                else side[record.image_id]
                for record in records
            ]
        ).rows
        for side in (predicted, reference)
    ]
    return tuple(PairRow(ours, theirs) for ours, theirs in zip(*sides, strict=True))


def agreement_json(rows: Sequence[PairRow], *, seed: int) -> list[dict[str, Any]]:
    """Return the agreement of predicted and reference values, per method, convention and quantity.

    Parameters
    ----------
    rows : sequence of PairRow
        Of all patients.
    seed : int
        For the intervals, which come from drawing patients again.

    Returns
    -------
    list of dict
        ``method, convention, quantity, unit, n``; ``r``, ``mae``, ``bias`` (predicted minus reference),
        ``sd`` and the 95 % limits of agreement; bootstrap 95 % intervals of the first three; ``reason``
        where there are none. Methods that no patient has on either side are left out.

    References
    ----------
    Bland and Altman 1986, doi 10.1016/S0140-6736(86)90837-8; Efron 1979, doi 10.1214/aos/1176344552.
    """
    rows_json = []
    for (method, convention), of_kind in by_kind(rows).items():
        for quantity, unit in QUANTITIES.items():
            if any(_known(row, quantity) for row in of_kind):
                head = {"method": method, "convention": convention, "quantity": quantity, "unit": unit}
                rows_json.append({**head, **_agreement(of_kind, quantity, seed)})
    return rows_json


def not_measurable_json(rows: Sequence[PairRow]) -> list[dict[str, Any]]:
    """List patients without volumes or EF on one side, for methods that any patient was measured with."""
    missing_json = []
    for (method, convention), of_kind in by_kind(rows).items():
        quantities = [name for name in QUANTITIES if any(_known(row, name) for row in of_kind)]
        for row in of_kind:
            missing = [name for name in quantities if row.both(name) is None]
            if missing:
                missing_json.append(
                    {
                        "patient": row.reference.patient,
                        "method": method,
                        "convention": convention,
                        "missing": missing,
                        "predicted_reason": _reason(row.predicted, missing),
                        "reference_reason": _reason(row.reference, missing),
                    }
                )
    return missing_json


def by_kind(rows: Sequence[PairRow]) -> dict[tuple[str, str], list[PairRow]]:
    """Group rows by method and convention, the most trusted first, without kinds that no patient was measured
    by.
    """
    conventions = list(Convention)

    def order(row: PairRow) -> tuple[int, int]:
        return row.reference.method.rank, conventions.index(row.reference.convention)

    grouped: dict[tuple[str, str], list[PairRow]] = {}
    for row in sorted(rows, key=order):
        grouped.setdefault((str(row.reference.method), str(row.reference.convention)), []).append(row)
    return {
        kind: of_kind
        for kind, of_kind in grouped.items()
        if any(_known(row, quantity) for row in of_kind for quantity in QUANTITIES)
    }


def ef_panels(rows: Sequence[PairRow], *, reference: str = "reference") -> list[PairedValues]:
    """Return the EF pairs to plot: biplane and slice summation, else the most trusted method there is.

    Parameters
    ----------
    rows : sequence of PairRow
    reference : str
        What the plots call the other side.
    """
    kinds = {
        kind: [(row, pair) for row in of_kind if (pair := row.both("ef_pct"))]
        for kind, of_kind in by_kind(rows).items()
    }
    kinds = {kind: pairs for kind, pairs in kinds.items() if pairs}
    best = {str(Method.BIPLANE), str(Method.SLICE_SUMMATION)} & {method for method, _ in kinds}
    shown = best or {method for method, _ in list(kinds)[:1]}
    return [
        PairedValues(
            first=np.array([pair[0] for _, pair in pairs]),
            second=np.array([pair[1] for _, pair in pairs]),
            names=("predicted", reference),
            cases=tuple(row.reference.patient for row, _ in pairs),
            quantity=f"EF, {method}, {convention}",
            value_unit="%",
            difference_unit="EF points",
            cases_name=CASES,
        )
        for (method, convention), pairs in kinds.items()
        if method in shown
    ]


def _agreement(rows: Sequence[PairRow], quantity: str, seed: int) -> dict[str, Any]:
    pairs = np.array([pair for row in rows if (pair := row.both(quantity))], dtype=np.float64).reshape(-1, 2)
    try:
        limits = agreement(pairs[:, 0], pairs[:, 1], cases=CASES)
        intervals = bootstrap_intervals(pairs[:, 0], pairs[:, 1], seed=seed)
    except MeasurementError as error:
        return {"n": len(pairs), **dict.fromkeys((*FIGURES, *INTERVALS)), "reason": str(error)}
    numbers = (limits.r, limits.mae, limits.bias, limits.sd, *limits.limits)
    ends = (intervals.r, intervals.mae, intervals.bias)
    return {
        "n": limits.count,
        **{name: rounded(number) for name, number in zip(FIGURES, numbers, strict=True)},
        **{name: _interval(end) for name, end in zip(INTERVALS, ends, strict=True)},
        "reason": "" if limits.r is not None else "r: the values of a side do not vary",
    }


def _known(row: PairRow, quantity: str) -> bool:
    return any(getattr(side, quantity) is not None for side in (row.predicted, row.reference))


def _reason(row: PatientRow, missing: Sequence[str]) -> str:
    return row.reason if any(getattr(row, name) is None for name in missing) else ""


def _interval(ends: Interval | None) -> list[float | None] | None:
    return None if ends is None else [rounded(end) for end in ends]
