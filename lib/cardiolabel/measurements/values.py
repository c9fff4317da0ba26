"""Measurements in long form: one record per quantity, from which tables and JSON are made.

A new quantity is a function in a module of its own that yields `MeasuredValue` for a study, and one entry of
`SOURCES`. It then is in ``measurements.csv`` without another change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

from cardiolabel.domain import Convention, Method, Phase, View
from cardiolabel.measurements.quality import Flag
from cardiolabel.measurements.records import FrameRow, PatientRow, Study

__all__ = ["SOURCES", "MeasuredValue", "Quantity", "Unit", "measured_values", "patient_level_values"]


class Unit(StrEnum):
    """Unit of a value, as names of columns end in it."""

    MM = "mm"
    MM2 = "mm2"
    ML = "ml"
    PCT = "pct"


class Quantity(StrEnum):
    """What was measured."""

    LV_AREA = "lv_area"
    LV_LENGTH = "lv_length"
    LV_VOLUME = "lv_volume"
    EDV = "edv"
    ESV = "esv"
    SV = "sv"
    EF = "ef"
    AREA_CHANGE = "fac"


class MeasuredValue(NamedTuple):
    """One measured quantity; a tuple, as each answer of the server makes some hundred of them.

    Parameters
    ----------
    patient : str
    quantity : Quantity
    unit : Unit
    value : float or None
        None is "not measurable", for ``reason``.
    method, convention : optional
        Of volumes and EF.
    view, phase : optional
        What the value is of, where it is of one.
    image_id : str
        The image of a frame's value.
    frame : int or None
        Counted from 0; of a stack the slice.
    low, high : float or None
        Ends of the 90 % interval, where there is one.
    quality : tuple of Flag
    reason : str
        Why there is no value, or which recording was measured.
    """

    patient: str
    quantity: Quantity
    unit: Unit
    value: float | None
    method: Method | None = None
    convention: Convention | None = None
    view: View | None = None
    phase: Phase | None = None
    image_id: str = ""
    frame: int | None = None
    low: float | None = None
    high: float | None = None
    quality: tuple[Flag, ...] = ()
    reason: str = ""


def frame_values(row: FrameRow) -> Iterator[MeasuredValue]:
    """Yield area, length and single-plane volume of one frame."""
    for quantity, unit, value in (
        (Quantity.LV_AREA, Unit.MM2, row.lv_area_mm2),
        (Quantity.LV_LENGTH, Unit.MM, row.lv_length_mm),
        (Quantity.LV_VOLUME, Unit.ML, row.lv_volume_ml),
    ):
        yield MeasuredValue(
            row.patient,
            quantity,
            unit,
            value,
            view=row.view,
            phase=row.phase,
            image_id=row.image_id,
            frame=row.frame,
            quality=row.quality,
            reason=row.reason,
        )


def patient_values(row: PatientRow) -> Iterator[MeasuredValue]:
    """Yield volumes, EF and LV lengths of one method and convention."""

    def value(
        quantity: Quantity,
        unit: Unit,
        number: float | None,
        *,
        view: View | None = None,
        phase: Phase | None = None,
        low: float | None = None,
        high: float | None = None,
    ) -> MeasuredValue:
        return MeasuredValue(
            row.patient,
            quantity,
            unit,
            number,
            row.method,
            row.convention,
            view,
            phase,
            low=low,
            high=high,
            quality=row.quality,
            reason=row.reason,
        )

    yield value(Quantity.EDV, Unit.ML, row.edv_ml)
    yield value(Quantity.ESV, Unit.ML, row.esv_ml)
    yield value(Quantity.SV, Unit.ML, row.sv_ml)
    yield value(Quantity.EF, Unit.PCT, row.ef_pct, low=row.ef_low_pct, high=row.ef_high_pct)
    for view, phase, length_mm in (
        (View.A4C, Phase.ED, row.length_a4c_ed_mm),
        (View.A2C, Phase.ED, row.length_a2c_ed_mm),
        (View.A4C, Phase.ES, row.length_a4c_es_mm),
        (View.A2C, Phase.ES, row.length_a2c_es_mm),
    ):
        yield value(Quantity.LV_LENGTH, Unit.MM, length_mm, view=view, phase=phase)


def _frames(study: Study) -> Iterator[MeasuredValue]:
    for row in study.frames:
        yield from frame_values(row)


def _patient(study: Study) -> Iterator[MeasuredValue]:
    for row in study.rows:
        yield from patient_values(row)


def _area_changes(study: Study) -> Iterator[MeasuredValue]:
    for change in study.area_changes:
        yield MeasuredValue(
            study.patient,
            Quantity.AREA_CHANGE,
            Unit.PCT,
            change.fac_pct,
            view=change.view,
            reason=change.reason,
        )


SOURCES: tuple[Callable[[Study], Iterator[MeasuredValue]], ...] = (_frames, _patient, _area_changes)
"""Functions that yield the values of a study, in the order of ``measurements.csv``."""


def patient_level_values(study: Study) -> list[MeasuredValue]:
    """Return the values of a study that are of no single frame."""
    return [value for source in SOURCES if source is not _frames for value in source(study)]


def measured_values(study: Study) -> Iterator[MeasuredValue]:
    """Yield every measured quantity of a study.

    Examples
    --------
    >>> study = Study("p", (), (PatientRow("p", Method.BIPLANE, Convention.GUIDELINE, ef_pct=60.0),))
    >>> [value.value for value in measured_values(study) if value.quantity is Quantity.EF]
    [60.0]
    """
    for source in SOURCES:
        yield from source(study)
