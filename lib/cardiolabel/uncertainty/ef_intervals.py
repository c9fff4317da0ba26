"""EF intervals on the rows of a study."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from cardiolabel.domain import Convention, Method
from cardiolabel.measurements.records import PatientRow, Study
from cardiolabel.measurements.simpson import beats_of
from cardiolabel.uncertainty.calibration import Calibration
from cardiolabel.uncertainty.ef_distribution import MethodKey

NO_SPREADS: Mapping[MethodKey, float] = {}


def with_intervals(
    study: Study,
    intervals: Mapping[str, Mapping[str, Any]],
    *,
    predicted: Collection[str],
    spreads_pct: Mapping[MethodKey, float] = NO_SPREADS,
) -> Study:
    """Add EF intervals to a study's rows.

    An EF that only persons' masks went into gets no interval, as none was calibrated for those.

    Parameters
    ----------
    study : Study
    intervals : mapping
        Of the model's card: calibrations by `calibration_key`; empty for a model without any.
    predicted : collection of str
        Images whose masks are that model's.
    spreads_pct : mapping
        By method and convention, as `EfDraws.spread_pct`; without one all intervals are of the same width.

    Raises
    ------
    CorruptWeightsError
        The card's intervals have another form.
    """
    calibrations = Calibration.from_card(intervals)
    return replace(
        study, rows=tuple(_row(row, study, calibrations, set(predicted), spreads_pct) for row in study.rows)
    )


def calibration_key(method: Method, convention: Convention) -> str:
    """Name a calibration on a model card."""
    return f"{method} {convention}"


def _row(
    row: PatientRow,
    study: Study,
    calibrations: Mapping[str, Calibration],
    predicted: set[str],
    spreads_pct: Mapping[MethodKey, float],
) -> PatientRow:
    images = _images_of(study, row.method)
    calibration = calibrations.get(calibration_key(row.method, row.convention))
    if row.ef_pct is None or calibration is None or not images & predicted:
        return row
    half = calibration.half_pct(
        spreads_pct.get((row.method, row.convention)), open_share=len(images & predicted) / len(images)
    )
    low, high = max(0.0, row.ef_pct - half), min(100.0, row.ef_pct + half)
    return replace(row, ef_low_pct=low, ef_high_pct=high)


def _images_of(study: Study, method: Method) -> set[str]:
    """List the images that a method's volumes are measured on."""
    if method is Method.SLICE_SUMMATION:
        return set(study.stacks.values())
    return {
        row.image_id for beat in beats_of(study, method) for cycle in beat for row in (cycle.ed, cycle.es)
    }
