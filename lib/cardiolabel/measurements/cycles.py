"""The beats of one view: ED and ES frames of the recording that is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cardiolabel.domain import Phase, View
from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.function import ejection_fraction_pct
from cardiolabel.measurements.phases import Beat, find_beats, is_cut
from cardiolabel.measurements.quality import Flag
from cardiolabel.measurements.recordings import (
    Recording,
    exam_name,
    names_view,
    recordings,
    share_grid,
)
from cardiolabel.measurements.records import Cycle, FrameRow, MaskedImage
from cardiolabel.measurements.volume import single_plane_volume_ml

_MOST_NAMED = 5
_BEYOND = 1.03


@dataclass(frozen=True)
class RecordingCycles:
    """The beats of one recording of a view, or the reason why there are none."""

    name: str
    images: tuple[str, ...]
    cycles: tuple[Cycle, ...]
    reason: str
    flags: tuple[Flag, ...] = ()

    @property
    def shrinks(self) -> bool:
        """Whether the cavity shrinks from ED to ES."""
        areas = [(cycle.ed_geometry.area, cycle.es_geometry.area) for cycle in self.cycles]
        return bool(areas) and sum(ed for ed, _ in areas) > sum(es for _, es in areas)

    @property
    def all_flags(self) -> frozenset[Flag]:
        """Flags of the recording and of the frames that its volumes are measured on."""
        frames = (row for cycle in self.cycles for row in (cycle.ed, cycle.es))
        return frozenset(self.flags) | {flag for row in frames for flag in row.quality}


@dataclass(frozen=True)
class ViewCycles:
    """The beats of one view, or the reason why there are none.

    ``note`` says which of several recordings was measured; ``exam`` is its examination, where the image ids
    tell it.
    """

    view: View
    cycles: tuple[Cycle, ...]
    reason: str
    flags: tuple[Flag, ...]
    images: int
    note: str = ""
    exam: str = ""


def recording_cycles(
    view: View,
    images: Sequence[MaskedImage],
    rows_of: dict[str, list[FrameRow]],
    beats: dict[str, list[Beat]],
) -> list[RecordingCycles]:
    """Measure every recording of a view, and add the beats of cines to ``beats``.

    Within a recording, stills labelled ED and ES count where both can be measured; otherwise its cine, at the
    frames that the data set names or at the beats of its area curve, without temporal outliers. Of several
    stills of one phase the first with a cavity counts.
    """
    return [_measured(view, recording, rows_of, beats) for recording in recordings(images)]


def chosen_cycles(view: View, measured: Sequence[RecordingCycles], exams: frozenset[str]) -> ViewCycles:
    """Choose the recording of a view to measure.

    Of several recordings with ED and ES, one whose cavity shrinks from ED to ES comes first, then the one
    with the fewest quality flags, then the first; recordings of ``exams`` come before all others.

    Parameters
    ----------
    view : View
    measured : sequence of RecordingCycles
    exams : frozenset of str
        Examinations that were recorded in both views, as `common_exams` gives them.
    """
    images = sum(len(recording.images) for recording in measured)
    complete = [recording for recording in measured if recording.cycles]
    if not complete:
        return ViewCycles(view, (), _reason(view, measured), (), images)
    best = min(
        complete,
        key=lambda recording: (
            exam_name(recording.name) not in exams,
            not recording.shrinks,
            len(recording.all_flags),
        ),
    )
    exam = exam_name(best.name) if names_view(best.name) else ""
    if len(measured) < 2:
        return ViewCycles(view, best.cycles, "", best.flags, images, exam=exam)
    others = "; ".join(
        _outcome(recording) for recording in measured[: _MOST_NAMED + 1] if recording is not best
    )
    note = f"several {view} recordings: measured on {', '.join(best.images)}, not on {others}"
    return ViewCycles(view, best.cycles, "", (*best.flags, Flag.SEVERAL_RECORDINGS), images, note, exam)


def common_exams(a4c: Sequence[RecordingCycles], a2c: Sequence[RecordingCycles]) -> frozenset[str]:
    """Return the examination with ED and ES in both views and the fewest flags; empty where there is none."""
    flags: list[dict[str, int]] = []
    for measured in (a4c, a2c):
        fewest: dict[str, int] = {}
        for recording in measured:
            if recording.cycles:
                count = len(recording.all_flags) + (0 if recording.shrinks else len(Flag))
                exam = exam_name(recording.name)
                fewest[exam] = min(count, fewest.get(exam, count))
        flags.append(fewest)
    shared = [exam for exam in flags[0] if exam in flags[1]]
    return frozenset({min(shared, key=lambda exam: flags[0][exam] + flags[1][exam])} if shared else ())


def _measured(
    view: View,
    recording: Recording,
    rows_of: dict[str, list[FrameRow]],
    beats: dict[str, list[Beat]],
) -> RecordingCycles:
    stills = {phase: recording.of_phase(phase) for phase in (Phase.ED, Phase.ES)}
    rows = {phase: [row for image in of for row in rows_of[image.image_id]] for phase, of in stills.items()}
    cines = recording.of_phase(Phase.CINE)
    cycles, reasons, cine_flags = _cine_cycles(cines, rows_of, beats)
    names = tuple(image.image_id for image in recording.images)
    broken: list[str] = []
    if all(rows.values()):
        ed, es = (_first_measured(rows[phase]) for phase in (Phase.ED, Phase.ES))
        broken = [f"{row.phase}: {row.reason}" for row in (ed, es) if row.geometry is None]
        if ed.geometry and es.geometry and ed.geometry.calibrated != es.geometry.calibrated:
            broken = ["only one of ED and ES carries a pixel spacing, so their sizes cannot be compared"]
        if not broken:
            flags = _still_flags(stills, rows, ed, es)
            return RecordingCycles(recording.name, names, (Cycle(ed, es),), "", flags)
    if cycles:
        return RecordingCycles(recording.name, names, tuple(cycles), "", cine_flags)
    if broken:
        reason = f"{view} {'; '.join(broken)}"
    elif cines:
        reason = "; ".join(f"{view} cine: {why}" for why in reasons)
    else:
        reason = f"no {view} image at {Phase.ES if rows[Phase.ED] else Phase.ED}"
    return RecordingCycles(recording.name, names, (), reason)


def _still_flags(
    stills: dict[Phase, list[MaskedImage]],
    rows: dict[Phase, list[FrameRow]],
    ed: FrameRow,
    es: FrameRow,
) -> tuple[Flag, ...]:
    """Return the flags for several stills of one phase, and for ED and ES on different grids."""
    ed_image, es_image = (
        next(image for image in stills[phase] if image.image_id == row.image_id)
        for phase, row in ((Phase.ED, ed), (Phase.ES, es))
    )
    competing = any(sum(row.geometry is not None for row in of_phase) > 1 for of_phase in rows.values())
    raised = {
        Flag.SEVERAL_RECORDINGS: competing,
        Flag.DIFFERENT_GRIDS: not share_grid(ed_image, es_image),
    }
    return tuple(flag for flag, is_raised in raised.items() if is_raised)


def _cine_cycles(
    cines: Sequence[MaskedImage], rows_of: dict[str, list[FrameRow]], beats: dict[str, list[Beat]]
) -> tuple[list[Cycle], list[str], tuple[Flag, ...]]:
    cycles: list[Cycle] = []
    reasons: list[str] = []
    flags: list[Flag] = []
    for image in cines:
        rows = rows_of[image.image_id]
        try:
            of_image, raised = _cine_beats(image, rows)
        except MeasurementError as error:
            reasons.append(image.problem or str(error))
            continue
        beats[image.image_id] = of_image
        flags += raised
        cycles += [Cycle(rows[beat.ed], rows[beat.es]) for beat in of_image]
    return cycles, reasons, tuple(flags)


def _cine_beats(image: MaskedImage, rows: list[FrameRow]) -> tuple[list[Beat], list[Flag]]:
    if image.ed_frame and image.es_frame:
        named = Beat(image.ed_frame - 1, image.es_frame - 1)
        if max(named.ed, named.es) < len(rows) and rows[named.ed].geometry and rows[named.es].geometry:
            return [named], []
    areas = np.array(
        [
            row.geometry.area if row.geometry and Flag.TEMPORAL_OUTLIER not in row.quality else np.nan
            for row in rows
        ]
    )
    beats = find_beats(areas, image.frame_rate_hz)
    raised = {
        Flag.PHASES_FROM_AREA: True,
        Flag.CUT_BEAT: any(is_cut(areas, beat) for beat in beats),
        Flag.TEMPORAL_OUTLIER: _is_more_extreme(rows, beats),
        Flag.UNDRAWN_FRAMES: any(_is_beside_undrawn(rows, beat) for beat in beats),
    }
    return beats, [flag for flag, is_raised in raised.items() if is_raised]


def _is_more_extreme(rows: list[FrameRow], beats: list[Beat]) -> bool:
    """Return whether a frame that was left out is larger than every ED or smaller than every ES."""
    left_out = [row.geometry.area for row in rows if row.geometry and Flag.TEMPORAL_OUTLIER in row.quality]
    largest = max(rows[beat.ed].measured_geometry.area for beat in beats)
    smallest = min(rows[beat.es].measured_geometry.area for beat in beats)
    return any(area > _BEYOND * largest or area * _BEYOND < smallest for area in left_out)


def _is_beside_undrawn(rows: list[FrameRow], beat: Beat) -> bool:
    """Return whether a frame next to ED or ES has no cavity, so that ED or ES may lie there."""
    beside = (frame + step for frame in (beat.ed, beat.es) for step in (-1, 1))
    return any(0 <= frame < len(rows) and rows[frame].geometry is None for frame in beside)


def _reason(view: View, measured: Sequence[RecordingCycles]) -> str:
    """Why no recording has ED and ES."""
    if not measured:
        return f"no {view} image"
    if len(measured) == 1:
        return measured[0].reason
    listed = "; ".join(_outcome(recording) for recording in measured[:_MOST_NAMED])
    more = f"; and {len(measured) - _MOST_NAMED} more" if len(measured) > _MOST_NAMED else ""
    return f"no {view} recording has ED and ES, and recordings are not mixed: {listed}{more}"


def _outcome(recording: RecordingCycles) -> str:
    """Return a recording's images, and its single-plane EF or the reason why it has none."""
    return f"{', '.join(recording.images)} ({recording.reason or _single_plane_ef(recording.cycles)})"


def _single_plane_ef(cycles: Sequence[Cycle]) -> str:
    volumes = [
        [
            single_plane_volume_ml(cycle.at(phase).diameters, length_mm=cycle.at(phase).length)
            for phase in (Phase.ED, Phase.ES)
        ]
        for cycle in cycles
    ]
    try:
        return f"single-plane EF {ejection_fraction_pct(*np.mean(volumes, axis=0).tolist()):.1f} %"
    except MeasurementError as error:
        return str(error)


def _first_measured(rows: list[FrameRow]) -> FrameRow:
    return next((row for row in rows if row.geometry), rows[0])
