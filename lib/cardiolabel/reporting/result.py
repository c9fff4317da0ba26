"""A study as JSON for viewers, pages and scripts."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiolabel.measurements.records import FrameRow, Study
from cardiolabel.measurements.values import Quantity, frame_values, patient_level_values
from cardiolabel.reporting.tables import frame_cells, patient_cells

SCHEMA = "cardiolabel-result-1"
_CONTOUR_POINTS = 128


def study_json(
    study: Study,
    *,
    sources: Mapping[str, str],
    model: Mapping[str, Any] | None,
    geometry: bool = True,
    only: str | Container[tuple[str, int]] | None = None,
) -> dict[str, Any]:
    """Return the JSON-safe view of a study: no NaN, None for what was not measured.

    Parameters
    ----------
    study : Study
    sources : mapping
        Image id to where its mask came from (``final``, ``original``, ``model``, ``none``).
    model : mapping or None
        Name, version and sha256 of the model that predicted, if one did.
    geometry : bool
        Whether frames carry their contour, annulus and apex.
    only : str or container of (str, int), optional
        The image whose frames are listed, or images and numbers from 0 of frames; by default all are.

    Returns
    -------
    dict
        ``frames`` (areas in mm², lengths in mm, volumes in ml; contour, annulus, apex and the ends of the
        20 discs as ``[row, col]`` in pixels; ``area_px`` where the pixel size is unknown), ``patient`` (the
        rows of ``patients.csv``), ``beats`` (frames counted from 0, as in ``frames``), ``area_change``,
        ``quality`` (all flags raised), ``sources``, ``model``, ``schema``.
    """
    shown = [row for row in study.frames if _is_shown(row, only)]
    values = patient_level_values(study)
    flags = {flag for row in study.frames for flag in row.quality}
    flags |= {flag for row in study.rows for flag in row.quality}
    return {
        "schema": SCHEMA,
        "patient_id": study.patient,
        "frames": [frame_json(row, geometry=geometry) for row in shown],
        "patient": patient_cells(values),
        "beats": {
            image: [{"ed_index": beat.ed, "es_index": beat.es} for beat in beats]
            for image, beats in study.beats.items()
        },
        "beat_volumes": [
            {
                "method": str(row.method),
                "convention": str(row.convention),
                "beat": row.beat,
                "edv_ml": row.edv_ml,
                "esv_ml": row.esv_ml,
                "ef_pct": row.ef_pct,
            }
            for row in study.beat_rows
        ],
        "area_change": [
            {"view": str(value.view), "fac_pct": value.value, "reason": value.reason}
            for value in values
            if value.quantity is Quantity.AREA_CHANGE
        ],
        "quality": sorted(str(flag) for flag in flags),
        "sources": dict(sources),
        "model": dict(model) if model else None,
    }


def _is_shown(row: FrameRow, only: str | Container[tuple[str, int]] | None) -> bool:
    if only is None or isinstance(only, str):
        return only in (None, row.image_id)
    return (row.image_id, row.frame) in only


def best_ef(study: Study) -> list[dict[str, Any]]:
    """List the EF of the most trusted method that could be measured, in each convention."""
    best = study.best()
    return [
        {
            "method": str(row.method),
            "convention": str(row.convention),
            "ef_pct": round(row.ef_pct, 1),
            "ef_low_pct": _tenths(row.ef_low_pct),
            "ef_high_pct": _tenths(row.ef_high_pct),
            "quality": [str(flag) for flag in row.quality],
        }
        for row in study.rows
        if best and row.method is best.method and row.ef_pct is not None
    ]


def frame_json(row: FrameRow, *, geometry: bool) -> dict[str, Any]:
    """Return one frame's numbers and, on request, its geometry; contours have at most 128 points."""
    (fields,) = frame_cells(frame_values(row))
    if geometry:
        shape = row.geometry
        fields["contour"] = _points(shape.contour_px) if shape else None
        fields["annulus"] = _points(shape.annulus_px) if shape else None
        fields["apex"] = _points(shape.apex_px[None])[0] if shape else None
        fields["area_px"] = round(shape.area, 1) if shape and not shape.calibrated else None
        fields["discs"] = np.round(shape.discs_px, 1).tolist() if shape else None
    return fields


def _points(points: NDArray[np.float64]) -> list[list[float]]:
    step = -(-len(points) // _CONTOUR_POINTS)
    thinned: list[list[float]] = np.round(points[::step], 2).tolist()
    return thinned


def _tenths(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
