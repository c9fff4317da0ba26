"""Volumes and EF from apical cycles: biplane, single-plane, area-length, in both conventions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from cardiolabel.domain import Convention, Method, Phase, View
from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.cycles import ViewCycles
from cardiolabel.measurements.function import ejection_fraction_pct
from cardiolabel.measurements.quality import Flag, QualityLimits, is_foreshortened, is_plausible_volume
from cardiolabel.measurements.records import BeatRow, Cycle, PatientRow, Study
from cardiolabel.measurements.volume import (
    area_length_volume_ml,
    biplane_volume_ml,
    single_plane_volume_ml,
)


class Sizes(Protocol):
    """Geometry that volumes are computed from: an `LVGeometry`, or D of them as arrays.

    ``diameters (..., 20)``, ``length (...)``, ``area (...)``, in mm, or in pixels without calibration.
    """

    @property
    def diameters(self) -> Any:
        """Diameters of the 20 discs, from annulus to apex."""

    @property
    def length(self) -> Any:
        """Length of the long axis."""

    @property
    def area(self) -> Any:
        """Area of the cavity."""


VolumeAt = Callable[[tuple[Sizes, ...], Any], Any]


def apical_rows(
    patient: str, a4c: ViewCycles, a2c: ViewCycles, limits: QualityLimits
) -> tuple[tuple[PatientRow, ...], tuple[BeatRow, ...]]:
    """Measure every apical method in both conventions; beats are averaged, and listed.

    Biplane pairs the k-th beat of A4C with the k-th of A2C. Area-length uses both views where both exist,
    else the one there is. It has no camus convention: its length stands in the denominator, where one length
    for both phases would reverse that convention's effect.
    """
    either = tuple(view for view in (a4c, a2c) if view.cycles) or (a4c, a2c)
    plans: tuple[tuple[Method, tuple[ViewCycles, ...]], ...] = (
        (Method.BIPLANE, (a4c, a2c)),
        (Method.SINGLE_PLANE_A4C, (a4c,)),
        (Method.SINGLE_PLANE_A2C, (a2c,)),
        (Method.AREA_LENGTH, either),
    )
    rows: list[PatientRow] = []
    beat_rows: list[BeatRow] = []
    for method, views in plans:
        for convention in Convention:
            row, beats = _row(patient, method, convention, views, limits)
            rows.append(row)
            beat_rows += beats
    return tuple(rows), tuple(beat_rows)


def _row(
    patient: str,
    method: Method,
    convention: Convention,
    views: tuple[ViewCycles, ...],
    limits: QualityLimits,
) -> tuple[PatientRow, list[BeatRow]]:
    if method is Method.AREA_LENGTH and convention is Convention.CAMUS:
        reason = "the camus convention is defined for discs only"
        return PatientRow(patient, method, convention, reason=reason), []
    missing = [view.reason for view in views if not view.cycles]
    if missing:
        return PatientRow(patient, method, convention, reason="; ".join(missing)), []
    beats = _paired([view.cycles for view in views])
    calibrated = all(c.at(p).calibrated for beat in beats for c in beat for p in (Phase.ED, Phase.ES))
    if len(views) > 1 and not calibrated:
        reason = "A4C and A2C can only be combined where both files carry a pixel spacing"
        return PatientRow(patient, method, convention, quality=(Flag.UNCALIBRATED,), reason=reason), []
    volumes = np.array(
        [
            apical_volumes(
                method,
                convention,
                ed=[cycle.ed_geometry for cycle in beat],
                es=[cycle.es_geometry for cycle in beat],
            )
            for beat in beats
        ]
    )
    edv, esv = (float(v) for v in volumes.mean(axis=0))
    ef, reason = _ef(edv, esv)
    if not calibrated:
        reason = "; ".join(filter(None, ["the file carries no pixel spacing: volumes are unknown", reason]))
    notes = [reason, *(view.note for view in views), _two_exams(views)]
    row = PatientRow(
        patient,
        method,
        convention,
        edv_ml=edv if calibrated else None,
        esv_ml=esv if calibrated else None,
        sv_ml=edv - esv if calibrated else None,
        ef_pct=ef,
        **(_lengths(beats) if calibrated else {}),
        quality=_flags(views, beats, (edv, esv) if calibrated else (), ef, limits),
        reason="; ".join(filter(None, notes)),
    )
    several = len(beats) > 1 and calibrated
    beat_rows = [
        BeatRow(method, convention, number, float(a), float(b), _ef(float(a), float(b))[0])
        for number, (a, b) in enumerate(volumes, start=1)
        if several
    ]
    return row, beat_rows


def _two_exams(views: Sequence[ViewCycles]) -> str:
    """Return a note where two views come from two examinations, by their image ids."""
    exams = sorted({view.exam for view in views if view.exam})
    return f"A4C and A2C are of two examinations by their names, {' and '.join(exams)}" if exams[1:] else ""


def beats_of(study: Study, method: Method) -> list[tuple[Cycle, ...]]:
    """Return the beats that an apical method measures a study by, one of each view, A4C first."""
    cycles = {view: study.cycles.get(view, ()) for view in (View.A4C, View.A2C)}
    views = {
        Method.SINGLE_PLANE_A4C: (View.A4C,),
        Method.SINGLE_PLANE_A2C: (View.A2C,),
        Method.AREA_LENGTH: tuple(view for view in cycles if cycles[view]),
    }.get(method, tuple(cycles))
    return _paired([cycles[view] for view in views])


def _paired(cycles: Sequence[tuple[Cycle, ...]]) -> list[tuple[Cycle, ...]]:
    """Pair the k-th beats of views."""
    return list(zip(*cycles, strict=False))


def apical_volumes(
    method: Method, convention: Convention, *, ed: Sequence[Sizes], es: Sequence[Sizes]
) -> tuple[Any, Any]:
    """Compute EDV and ESV of one beat by an apical method.

    Parameters
    ----------
    method : Method
    convention : Convention
    ed, es : sequence of Sizes
        Of each view that the method takes, A4C first.

    Returns
    -------
    edv, esv : float, or ndarray (D,) from D geometries
        In ml. Of geometries in pixels only their ratio means something, and with it EF.
    """
    longest = [np.maximum.reduce([sizes.length for sizes in phase]) for phase in (ed, es)]
    if convention is Convention.CAMUS:
        longest = [np.maximum(*longest)] * 2
    volume_at = _VOLUME_AT[method]
    edv, esv = (volume_at(tuple(phase), length) for phase, length in zip((ed, es), longest, strict=True))
    return edv, esv


def _biplane(sizes: tuple[Sizes, ...], length: Any) -> Any:
    a4c, a2c = sizes
    return biplane_volume_ml(a4c.diameters, a2c.diameters, length_mm=length)


def _single_plane(sizes: tuple[Sizes, ...], length: Any) -> Any:
    return single_plane_volume_ml(sizes[0].diameters, length_mm=length)


def _area_length(sizes: tuple[Sizes, ...], length: Any) -> Any:
    return area_length_volume_ml(sizes[0].area, sizes[-1].area, length_mm=length)


_VOLUME_AT: dict[Method, VolumeAt] = {
    Method.BIPLANE: _biplane,
    Method.SINGLE_PLANE_A4C: _single_plane,
    Method.SINGLE_PLANE_A2C: _single_plane,
    Method.AREA_LENGTH: _area_length,
}


def _ef(edv: float, esv: float) -> tuple[float | None, str]:
    try:
        return ejection_fraction_pct(edv, esv), ""
    except MeasurementError as error:
        return None, str(error)


def _lengths(beats: list[tuple[Cycle, ...]]) -> dict[str, float]:
    lengths: dict[str, list[float]] = {}
    for beat in beats:
        for cycle in beat:
            view = str(cycle.ed.view).lower()
            lengths.setdefault(f"length_{view}_ed_mm", []).append(cycle.ed_geometry.length)
            lengths.setdefault(f"length_{view}_es_mm", []).append(cycle.es_geometry.length)
    return {name: float(np.mean(values)) for name, values in lengths.items()}


def _flags(
    views: tuple[ViewCycles, ...],
    beats: list[tuple[Cycle, ...]],
    volumes_ml: tuple[float, ...],
    ef: float | None,
    limits: QualityLimits,
) -> tuple[Flag, ...]:
    raised = {flag for view in views for flag in view.flags}
    if _two_exams(views):
        raised.add(Flag.SEVERAL_RECORDINGS)
    for beat in beats:
        raised |= {flag for cycle in beat for flag in (*cycle.ed.quality, *cycle.es.quality)}
        if len(beat) == 2:
            for phase in (Phase.ED, Phase.ES):
                a4c, a2c = (cycle.at(phase).length for cycle in beat)
                if is_foreshortened(a4c, a2c, limits):
                    raised.add(Flag.FORESHORTENING)
    if ef is not None and not limits.ef_low_pct <= ef <= limits.ef_high_pct:
        raised.add(Flag.UNUSUAL_EF)
    if not all(is_plausible_volume(volume_ml, limits) for volume_ml in volumes_ml):
        raised.add(Flag.IMPLAUSIBLE_SIZE)
    return tuple(flag for flag in Flag if flag in raised)
