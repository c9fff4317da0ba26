"""Volumes and EF from apical cycles: biplane, single-plane, area-length, in both conventions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cardiolabel.domain import Convention, Method, Phase
from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.cycles import Cycle, ViewCycles
from cardiolabel.measurements.function import ejection_fraction_pct
from cardiolabel.measurements.geometry import LVGeometry
from cardiolabel.measurements.quality import Flag, QualityLimits, is_foreshortened
from cardiolabel.measurements.records import BeatRow, PatientRow
from cardiolabel.measurements.volume import (
    area_length_volume_ml,
    biplane_volume_ml,
    single_plane_volume_ml,
)

VolumeAt = Callable[[tuple[LVGeometry, ...], float], float]


def apical_rows(
    patient: str, a4c: ViewCycles, a2c: ViewCycles, limits: QualityLimits
) -> tuple[tuple[PatientRow, ...], tuple[BeatRow, ...]]:
    """Rows for every apical method and convention; several beats are averaged, and listed.

    Biplane pairs the k-th beat of A4C with the k-th of A2C. Area-length uses both views where both
    exist, else the one there is; it has no camus convention, since one length in its denominator for
    both phases would turn that convention upside down.
    """
    either = tuple(view for view in (a4c, a2c) if view.cycles) or (a4c, a2c)
    plans: tuple[tuple[Method, tuple[ViewCycles, ...], VolumeAt], ...] = (
        (Method.BIPLANE, (a4c, a2c), _biplane),
        (Method.SINGLE_PLANE_A4C, (a4c,), _single_plane),
        (Method.SINGLE_PLANE_A2C, (a2c,), _single_plane),
        (Method.AREA_LENGTH, either, _area_length),
    )
    rows: list[PatientRow] = []
    beat_rows: list[BeatRow] = []
    for method, views, volume_at in plans:
        for convention in Convention:
            row, beats = _row(patient, method, convention, views, volume_at, limits)
            rows.append(row)
            beat_rows += beats
    return tuple(rows), tuple(beat_rows)


def _row(
    patient: str,
    method: Method,
    convention: Convention,
    views: tuple[ViewCycles, ...],
    volume_at: VolumeAt,
    limits: QualityLimits,
) -> tuple[PatientRow, list[BeatRow]]:
    if method is Method.AREA_LENGTH and convention is Convention.CAMUS:
        reason = "the camus convention is defined for discs only"
        return PatientRow(patient, method, convention, reason=reason), []
    missing = [view.reason for view in views if not view.cycles]
    if missing:
        return PatientRow(patient, method, convention, reason="; ".join(missing)), []
    beats = list(zip(*(view.cycles for view in views), strict=False))
    calibrated = all(c.at(p).calibrated for beat in beats for c in beat for p in (Phase.ED, Phase.ES))
    if len(views) > 1 and not calibrated:
        reason = "A4C and A2C can only be combined where both files carry a pixel spacing"
        return PatientRow(patient, method, convention, quality=(Flag.UNCALIBRATED,), reason=reason), []
    volumes = np.array([_volumes(beat, convention, volume_at) for beat in beats])
    edv, esv = (float(v) for v in volumes.mean(axis=0))
    ef, reason = _ef(edv, esv)
    if not calibrated:
        reason = "; ".join(filter(None, ["the file carries no pixel spacing: volumes are unknown", reason]))
    row = PatientRow(
        patient, method, convention,
        edv_ml=edv if calibrated else None,
        esv_ml=esv if calibrated else None,
        sv_ml=edv - esv if calibrated else None,
        ef_pct=ef,
        **(_lengths(beats) if calibrated else {}),
        quality=_flags(views, beats, ef, limits),
        reason=reason,
    )  # fmt: skip
    several = len(beats) > 1 and calibrated
    beat_rows = [
        BeatRow(method, convention, number, float(a), float(b), _ef(float(a), float(b))[0])
        for number, (a, b) in enumerate(volumes, start=1)
        if several
    ]
    return row, beat_rows


def _volumes(beat: tuple[Cycle, ...], convention: Convention, volume_at: VolumeAt) -> tuple[float, float]:
    phases = {p: tuple(cycle.at(p) for cycle in beat) for p in (Phase.ED, Phase.ES)}
    longest = {p: max(g.length_mm for g in geometries) for p, geometries in phases.items()}
    if convention is Convention.CAMUS:
        longest = dict.fromkeys(longest, max(longest.values()))
    ed, es = (volume_at(phases[p], longest[p]) for p in (Phase.ED, Phase.ES))
    return ed, es


def _biplane(geometries: tuple[LVGeometry, ...], length_mm: float) -> float:
    a4c, a2c = geometries
    return biplane_volume_ml(a4c.diameters_mm, a2c.diameters_mm, length_mm=length_mm)


def _single_plane(geometries: tuple[LVGeometry, ...], length_mm: float) -> float:
    return single_plane_volume_ml(geometries[0].diameters_mm, length_mm=length_mm)


def _area_length(geometries: tuple[LVGeometry, ...], length_mm: float) -> float:
    return area_length_volume_ml(geometries[0].area_mm2, geometries[-1].area_mm2, length_mm=length_mm)


def _ef(edv: float, esv: float) -> tuple[float | None, str]:
    try:
        return ejection_fraction_pct(edv, esv), ""
    except MeasurementError as error:
        return None, str(error)


def _lengths(beats: list[tuple[Cycle, ...]]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for beat in beats:
        for cycle in beat:
            view = str(cycle.ed.view).lower()
            found.setdefault(f"length_{view}_ed_mm", []).append(cycle.ed_geometry.length_mm)
            found.setdefault(f"length_{view}_es_mm", []).append(cycle.es_geometry.length_mm)
    return {name: float(np.mean(values)) for name, values in found.items()}


def _flags(
    views: tuple[ViewCycles, ...],
    beats: list[tuple[Cycle, ...]],
    ef: float | None,
    limits: QualityLimits,
) -> tuple[Flag, ...]:
    raised = {flag for view in views for flag in view.flags}
    for beat in beats:
        raised |= {flag for cycle in beat for flag in (*cycle.ed.quality, *cycle.es.quality)}
        if len(beat) == 2:
            for phase in (Phase.ED, Phase.ES):
                a4c, a2c = (cycle.at(phase).length_mm for cycle in beat)
                if is_foreshortened(a4c, a2c, limits):
                    raised.add(Flag.FORESHORTENING)
    if ef is not None and not limits.ef_low_pct <= ef <= limits.ef_high_pct:
        raised.add(Flag.UNUSUAL_EF)
    return tuple(flag for flag in Flag if flag in raised)
