"""Short-axis stacks: cavity areas of parallel slices, summed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cardiolabel.domain import Convention, Method, Phase, View
from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.function import ejection_fraction_pct, fractional_area_change_pct
from cardiolabel.measurements.quality import Flag, QualityLimits, is_plausible_stack
from cardiolabel.measurements.recordings import Recording, recordings, share_grid
from cardiolabel.measurements.records import AreaChange, FrameRow, MaskedImage, PatientRow
from cardiolabel.measurements.stack_coverage import (
    cavity_pixels,
    fragment_share,
    gap_slices,
    is_apex_missing,
    slices_differ,
)
from cardiolabel.measurements.volume import slice_summation_ml

_PHASES = (Phase.ED, Phase.ES)


@dataclass(frozen=True)
class ShortAxis:
    """Measurements of a patient's short-axis stacks.

    ``stacks`` maps the phases to the image ids of the measured stacks; ``area_changes`` holds the fractional
    area change of single-slice recordings.
    """

    frames: tuple[FrameRow, ...] = ()
    rows: tuple[PatientRow, ...] = ()
    area_changes: tuple[AreaChange, ...] = ()
    stacks: tuple[tuple[Phase, str], ...] = ()


@dataclass(frozen=True)
class _Measured:
    """One recording's row, and the stacks that it was measured on."""

    images: tuple[str, ...]
    row: PatientRow
    stacks: tuple[tuple[Phase, str], ...]
    area_change: AreaChange | None


def is_short_axis(image: MaskedImage) -> bool:
    """Return whether an image is measured as a stack of slices."""
    return image.view.is_stack


def measure_short_axis(patient: str, stacks: Sequence[MaskedImage], limits: QualityLimits) -> ShortAxis:
    """Measure one frame row per slice and one slice-summation row per patient.

    ED and ES are those of one recording. Of several, one with an EF comes first, then the one with the fewest
    quality flags, then the first. A volume needs two or more slices with a cavity and no empty slice between
    them; a slice outside them counts as 0 mm². Length and single-plane volume of a slice are undefined and
    stay empty.
    """
    if not stacks:
        return ShortAxis()
    frames = tuple(row for stack in stacks for row in _slices(stack, limits))
    measured = [_measured(patient, recording, limits) for recording in recordings(stacks)]
    best = min(measured, key=_rank)
    row = best.row
    if row.ef_pct is None and len(measured) > 1:
        listed = "; ".join(_outcome(recording) for recording in measured)
        reason = f"no SAX recording has ED and ES, and recordings are not mixed: {listed}"
        row = PatientRow(patient, row.method, row.convention, quality=row.quality, reason=reason)
    elif len(measured) > 1:
        others = "; ".join(_outcome(recording) for recording in measured if recording is not best)
        note = f"several SAX recordings: measured on {', '.join(best.images)}, not on {others}"
        row = replace(row, reason="; ".join(filter(None, [row.reason, note])))
    if len(measured) > 1:
        row = replace(row, quality=_ordered({*row.quality, Flag.SEVERAL_RECORDINGS}))
    changes = () if best.area_change is None else (best.area_change,)
    return ShortAxis(frames, (row,), changes, best.stacks)


def _outcome(measured: _Measured) -> str:
    """Return a recording's images, and its EF or the reason why it has none."""
    row = measured.row
    return f"{', '.join(measured.images)} ({f'EF {row.ef_pct:.1f} %' if row.ef_pct else row.reason})"


def _rank(measured: _Measured) -> tuple[bool, int, int]:
    row = measured.row
    return row.ef_pct is None, (row.edv_ml is None) + (row.esv_ml is None), len(row.quality)


def _measured(patient: str, recording: Recording, limits: QualityLimits) -> _Measured:
    stacks: dict[Phase, MaskedImage] = {}
    volumes: dict[Phase, float] = {}
    reasons: list[str] = []
    flags: set[Flag] = set()
    for phase in _PHASES:
        of_phase = recording.of_phase(phase)
        if not of_phase:
            reasons.append(f"no SAX stack at {phase}")
            continue
        drawn = [stack for stack in of_phase if _has_cavity(stack)]
        stack = stacks[phase] = (drawn or of_phase)[0]
        flags |= _stack_flags(stack, limits) | ({Flag.SEVERAL_RECORDINGS} if len(drawn) > 1 else set())
        try:
            volumes[phase] = _volume_ml(stack)
        except MeasurementError as error:
            reasons.append(f"{phase}: {error}")
    edv, esv = volumes.get(Phase.ED), volumes.get(Phase.ES)
    ed, es = stacks.get(Phase.ED), stacks.get(Phase.ES)
    ef = None
    if edv is not None and esv is not None:
        try:
            ef = ejection_fraction_pct(edv, esv)
        except MeasurementError as error:
            reasons.append(str(error))
    if not volumes and ed and es and (ef := _uncalibrated_ef(ed, es)) is not None:
        flags.add(Flag.UNCALIBRATED)
    if ed and es and _has_cavity(ed) and _has_cavity(es):
        flags |= {Flag.SLICES_DIFFER} if slices_differ(ed, es, limits) else set()
        flags |= set() if share_grid(ed, es) else {Flag.DIFFERENT_GRIDS}
    if ef is not None and not limits.ef_low_pct <= ef <= limits.ef_high_pct:
        flags.add(Flag.UNUSUAL_EF)
    row = PatientRow(
        patient,
        Method.SLICE_SUMMATION,
        Convention.GUIDELINE,
        edv_ml=edv,
        esv_ml=esv,
        sv_ml=edv - esv if edv is not None and esv is not None else None,
        ef_pct=ef,
        quality=_ordered(flags),
        reason="; ".join(reasons),
    )
    return _Measured(
        tuple(stack.image_id for stack in recording.images),
        row,
        tuple((phase, stack.image_id) for phase, stack in stacks.items()),
        _slice_area_change(ed, es) if ed and es else None,
    )


def _stack_flags(stack: MaskedImage, limits: QualityLimits) -> set[Flag]:
    """Return the flags of one stack, whether or not it has a volume."""
    pixels = cavity_pixels(stack)
    raised = {
        Flag.SLICE_GAP: bool(gap_slices(pixels)),
        Flag.APEX_MISSING: is_apex_missing(pixels, limits),
        Flag.FRAGMENTS: fragment_share(stack) > limits.fragment_share,
        Flag.IMPLAUSIBLE_SIZE: _is_implausible(stack, limits),
    }
    return {flag for flag, is_raised in raised.items() if is_raised}


def _is_implausible(stack: MaskedImage, limits: QualityLimits) -> bool:
    """Return whether no heart has these slices; slices of a short-axis cine are not judged."""
    pixels = cavity_pixels(stack)
    if stack.spacing is None or stack.phase is Phase.CINE or not pixels.any():
        return False
    areas_mm2 = np.asarray(pixels * stack.spacing.pixel_area_mm2, dtype=np.float64)
    apart_mm = stack.slice_spacing_mm if np.count_nonzero(pixels) > 1 else None
    return not is_plausible_stack(areas_mm2, apart_mm, limits)


def _has_cavity(stack: MaskedImage) -> bool:
    return bool(cavity_pixels(stack).any())


def _volume_ml(stack: MaskedImage) -> float:
    if stack.problem:
        raise MeasurementError(stack.problem)
    if stack.spacing is None:
        raise MeasurementError("the file carries no pixel spacing")
    _check_slices(stack)
    if stack.slice_spacing_mm is None or stack.slice_spacing_mm <= 0:
        raise MeasurementError("the distance between slices is unknown")
    areas = np.asarray(cavity_pixels(stack) * stack.spacing.pixel_area_mm2, dtype=np.float64)
    return slice_summation_ml(areas, slice_spacing_mm=stack.slice_spacing_mm)


def _check_slices(stack: MaskedImage) -> None:
    """Refuse a stack whose slices do not show the ventricle from end to end."""
    pixels = cavity_pixels(stack)
    if not pixels.any():
        raise MeasurementError("the mask has no LV cavity")
    if len(pixels) == 1:
        raise MeasurementError("one slice is no stack: a volume needs parallel slices from base to apex")
    if np.count_nonzero(pixels) == 1:
        raise MeasurementError(f"only one of {len(pixels)} slices has an LV cavity: a volume needs them all")
    if gaps := gap_slices(pixels):
        slices = f"slice{'s' if len(gaps) > 1 else ''} {', '.join(str(gap) for gap in gaps)} (from 0)"
        raise MeasurementError(f"no LV cavity in {slices}, between slices that have one")


def _uncalibrated_ef(ed: MaskedImage, es: MaskedImage) -> float | None:
    """Compute EF from pixel counts, where both phases lack a pixel size but share one grid."""
    if ed.spacing or es.spacing or ed.masks.shape != es.masks.shape:
        return None
    try:
        for stack in (ed, es):
            _check_slices(stack)
        return ejection_fraction_pct(*(float(cavity_pixels(stack).sum()) for stack in (ed, es)))
    except MeasurementError:
        return None


def _slice_area_change(ed: MaskedImage, es: MaskedImage) -> AreaChange | None:
    """Return the fractional area change of a recording of one slice; None for stacks."""
    if len(ed.masks) != 1 or len(es.masks) != 1:
        return None
    try:
        if ed.spacing and es.spacing:
            sizes = [ed.spacing.pixel_area_mm2, es.spacing.pixel_area_mm2]
        elif ed.spacing or es.spacing or ed.masks.shape != es.masks.shape:
            raise MeasurementError("ED and ES cannot be compared: their pixel sizes are unknown or differ")
        else:
            sizes = [1.0, 1.0]
        pixels = [float(cavity_pixels(stack).sum()) for stack in (ed, es)]
        areas = [count * size for count, size in zip(pixels, sizes, strict=True)]
        return AreaChange(View.SAX, fractional_area_change_pct(*areas), "")
    except MeasurementError as error:
        return AreaChange(View.SAX, None, str(error))


def _slices(stack: MaskedImage, limits: QualityLimits) -> list[FrameRow]:
    if not len(stack.masks):
        return [_slice_row(stack, 0, None, (), stack.problem or "the stack has no mask")]
    rows = []
    pixels = cavity_pixels(stack)
    gaps = gap_slices(pixels) if stack.phase is not Phase.CINE else []
    implausible = (Flag.IMPLAUSIBLE_SIZE,) if _is_implausible(stack, limits) else ()
    for index, count in enumerate(pixels.tolist()):
        area = count * stack.spacing.pixel_area_mm2 if stack.spacing and count else None
        flags = implausible if count else (Flag.SLICE_GAP,) if index in gaps else ()
        rows.append(_slice_row(stack, index, area, flags, "" if area is not None else _missing_area(stack)))
    return rows


def _slice_row(
    stack: MaskedImage, index: int, area_mm2: float | None, flags: tuple[Flag, ...], reason: str
) -> FrameRow:
    return FrameRow(
        stack.image_id,
        stack.patient,
        stack.view,
        stack.phase,
        index,
        area_mm2,
        None,
        None,
        flags,
        reason,
        None,
    )


def _missing_area(stack: MaskedImage) -> str:
    return "the slice has no LV cavity" if stack.spacing else "the file carries no pixel spacing"


def _ordered(flags: set[Flag]) -> tuple[Flag, ...]:
    return tuple(flag for flag in Flag if flag in flags)
