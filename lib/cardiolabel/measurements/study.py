"""Measurement of one patient: frames, beats, then every volume method in both conventions.

Nothing here raises for the content of an image: what cannot be measured is an empty value with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import LabelSet, Phase, Spacing, View
from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.cycles import ViewCycles, chosen_cycles, common_exams, recording_cycles
from cardiolabel.measurements.function import fractional_area_change_pct
from cardiolabel.measurements.geometry import LVGeometry, measure_geometry
from cardiolabel.measurements.phases import Beat
from cardiolabel.measurements.quality import Flag, QualityLimits, frame_flags, temporal_outliers
from cardiolabel.measurements.records import AreaChange, FrameRow, MaskedImage, Study
from cardiolabel.measurements.short_axis import is_short_axis, measure_short_axis
from cardiolabel.measurements.simpson import apical_rows
from cardiolabel.measurements.volume import single_plane_volume_ml

APICAL = (View.A4C, View.A2C)


class Measure(Protocol):
    """The type of `measure_geometry`."""

    def __call__(self, mask: NDArray[np.uint8], spacing: Spacing | None, *, labels: LabelSet) -> LVGeometry:
        """Measure one frame, as `measure_geometry`."""


def measure_study(
    images: Sequence[MaskedImage],
    limits: QualityLimits | None = None,
    *,
    measure: Measure = measure_geometry,
) -> Study:
    """Measure all images of one patient.

    ED and ES of a volume come from one recording of a view: its stills where both exist, otherwise its cine,
    at the frames that the data set names or at the beats of its area curve. `chosen_cycles` and
    `measure_short_axis` choose among several recordings.

    Parameters
    ----------
    images : sequence of MaskedImage
        All of one patient.
    limits : QualityLimits, optional
        Where quality flags start.
    measure : callable
        Measures one frame; one that remembers saves what did not change.

    Raises
    ------
    ValueError
        No images, or images of several patients.
    """
    patients = {image.patient for image in images}
    if len(patients) != 1:
        raise ValueError(f"measure_study takes the images of one patient, got {sorted(patients)}")
    patient = patients.pop()
    limits = limits or QualityLimits()
    stacks = [image for image in images if is_short_axis(image)]
    clips = [image for image in images if not is_short_axis(image)]
    rows_of = {image.image_id: _frame_rows(image, limits, measure) for image in clips}
    beats: dict[str, list[Beat]] = {}
    measured = {
        view: recording_cycles(view, [image for image in clips if image.view is view], rows_of, beats)
        for view in APICAL
    }
    exams = common_exams(measured[View.A4C], measured[View.A2C])
    views = {view: _view(chosen_cycles(view, measured[view], exams), clips) for view in APICAL}
    short_axis = measure_short_axis(patient, stacks, limits)
    rows, beat_rows = apical_rows(patient, views[View.A4C], views[View.A2C], limits)
    if stacks and not any(image.view in APICAL for image in clips):
        rows, beat_rows = (), ()
    phase_frames = {
        (view, phase): frame
        for view in APICAL
        for cycle in views[view].cycles[:1]
        for phase, frame in ((Phase.ED, cycle.ed), (Phase.ES, cycle.es))
    }
    return Study(
        patient=patient,
        frames=tuple(row for image in clips for row in rows_of[image.image_id]) + short_axis.frames,
        rows=rows + short_axis.rows,
        beat_rows=beat_rows,
        area_changes=(
            *(_area_change(view, views[view]) for view in APICAL if views[view].images),
            *short_axis.area_changes,
        ),
        beats=beats,
        phase_frames=phase_frames,
        cycles={view: views[view].cycles for view in APICAL},
        stacks=dict(short_axis.stacks),
    )


def _view(cycles: ViewCycles, clips: Sequence[MaskedImage]) -> ViewCycles:
    """Return a view's cycles; without an image of it, with a hint at images of unknown view."""
    unknown = [image.image_id for image in clips if image.view is View.UNKNOWN]
    if cycles.images or not unknown:
        return cycles
    hint = f"{cycles.reason} (the view of {', '.join(unknown)} is unknown: set it in manifest.csv)"
    return replace(cycles, reason=hint)


def _frame_rows(image: MaskedImage, limits: QualityLimits, measure: Measure) -> list[FrameRow]:
    rows = [_frame_row(image, index, limits, measure) for index in range(len(image.masks))]
    if not rows:
        reason = image.problem or "the image has no mask"
        return [_empty_row(image, 0, reason)]
    if len(rows) > 1:
        areas = np.array([row.geometry.area if row.geometry else np.nan for row in rows])
        for index in np.flatnonzero(temporal_outliers(areas, limits)):
            rows[index] = replace(rows[index], quality=(*rows[index].quality, Flag.TEMPORAL_OUTLIER))
    return rows


def _frame_row(image: MaskedImage, index: int, limits: QualityLimits, measure: Measure) -> FrameRow:
    try:
        geometry = measure(image.masks[index], image.spacing, labels=image.labels)
    except MeasurementError as error:
        return _empty_row(image, index, str(error))
    area = length = volume = None
    if geometry.calibrated:
        area, length = geometry.area, geometry.length
        volume = float(single_plane_volume_ml(geometry.diameters, length_mm=length))
    return FrameRow(
        image.image_id,
        image.patient,
        image.view,
        image.phase,
        index,
        area,
        length,
        volume,
        tuple(frame_flags(geometry, limits)),
        "" if geometry.calibrated else "the file carries no pixel spacing",
        geometry,
    )


def _empty_row(image: MaskedImage, index: int, reason: str) -> FrameRow:
    return FrameRow(
        image.image_id, image.patient, image.view, image.phase, index, None, None, None, (), reason, None
    )


def _area_change(view: View, cycles: ViewCycles) -> AreaChange:
    changes = []
    try:
        for cycle in cycles.cycles:
            changes.append(fractional_area_change_pct(cycle.ed_geometry.area, cycle.es_geometry.area))
    except MeasurementError as error:
        return AreaChange(view, None, str(error))
    if not changes:
        return AreaChange(view, None, cycles.reason)
    return AreaChange(view, float(np.mean(changes)), "")
