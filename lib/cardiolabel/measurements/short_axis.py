"""Short-axis stacks: cavity areas of parallel slices, summed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cardiolabel.domain import Convention, Method, Phase, View
from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.function import ejection_fraction_pct
from cardiolabel.measurements.quality import Flag, QualityLimits
from cardiolabel.measurements.records import FrameRow, MaskedImage, PatientRow
from cardiolabel.measurements.volume import slice_summation_ml


def is_short_axis(image: MaskedImage) -> bool:
    """Whether an image is measured as a stack of slices."""
    return image.view is View.SAX


def measure_short_axis(
    patient: str, stacks: Sequence[MaskedImage], limits: QualityLimits
) -> tuple[tuple[FrameRow, ...], tuple[PatientRow, ...]]:
    """One frame row per slice and one slice-summation row per patient.

    A slice without cavity counts as 0 mm² within a stack that has some; its length and single-plane
    volume are undefined and stay empty.
    """
    if not stacks:
        return (), ()
    frames = tuple(row for stack in stacks for row in _slices(stack))
    volumes: dict[Phase, float] = {}
    reasons: list[str] = []
    for phase in (Phase.ED, Phase.ES):
        of_phase = [stack for stack in stacks if stack.phase is phase]
        try:
            if not of_phase:
                raise MeasurementError(f"no SAX stack at {phase}")
            volumes[phase] = _volume_ml(of_phase[0])
        except MeasurementError as error:
            reasons.append(str(error))
    edv, esv = volumes.get(Phase.ED), volumes.get(Phase.ES)
    ef = None
    if edv is not None and esv is not None:
        try:
            ef = ejection_fraction_pct(edv, esv)
        except MeasurementError as error:
            reasons.append(str(error))
    flags: list[Flag] = []
    if not volumes and (ef := _uncalibrated_ef(stacks)) is not None:
        flags.append(Flag.UNCALIBRATED)
    if ef is not None and not limits.ef_low_pct <= ef <= limits.ef_high_pct:
        flags.append(Flag.UNUSUAL_EF)
    row = PatientRow(
        patient, Method.SLICE_SUMMATION, Convention.GUIDELINE,
        edv_ml=edv, esv_ml=esv,
        sv_ml=edv - esv if edv is not None and esv is not None else None,
        ef_pct=ef, quality=tuple(flags), reason="; ".join(reasons),
    )  # fmt: skip
    return frames, (row,)


def _uncalibrated_ef(stacks: Sequence[MaskedImage]) -> float | None:
    """EF from pixel counts, where both phases lack a pixel size but share one grid."""
    phases = {stack.phase: stack for stack in reversed(stacks)}
    ed, es = phases.get(Phase.ED), phases.get(Phase.ES)
    if ed is None or es is None or ed.spacing or es.spacing or ed.masks.shape != es.masks.shape:
        return None
    edv, esv = (float((stack.masks == stack.labels.value("lv_cavity")).sum()) for stack in (ed, es))
    try:
        return ejection_fraction_pct(edv, esv)
    except MeasurementError:
        return None


def _slices(stack: MaskedImage) -> list[FrameRow]:
    value = stack.labels.value("lv_cavity")
    if not len(stack.masks):
        return [_slice_row(stack, 0, None, stack.problem or "the stack has no mask")]
    rows = []
    for index, mask in enumerate(stack.masks):
        pixels = int((mask == value).sum())
        area = pixels * stack.spacing.pixel_area_mm2 if stack.spacing and pixels else None
        rows.append(_slice_row(stack, index, area, "" if area is not None else _missing_slice_reason(stack)))
    return rows


def _slice_row(stack: MaskedImage, index: int, area_mm2: float | None, reason: str) -> FrameRow:
    return FrameRow(
        stack.image_id, stack.patient, stack.view, stack.phase, index,
        area_mm2, None, None, (), reason, None,
    )  # fmt: skip


def _missing_slice_reason(stack: MaskedImage) -> str:
    return "the slice has no LV cavity" if stack.spacing else "the file carries no pixel spacing"


def _volume_ml(stack: MaskedImage) -> float:
    if stack.problem:
        raise MeasurementError(f"{stack.phase}: {stack.problem}")
    if stack.spacing is None:
        raise MeasurementError(f"{stack.phase}: the file carries no pixel spacing")
    if stack.slice_spacing_mm is None or stack.slice_spacing_mm <= 0:
        raise MeasurementError(f"{stack.phase}: the distance between slices is unknown")
    pixels = (stack.masks == stack.labels.value("lv_cavity")).sum(axis=(1, 2))
    if not pixels.any():
        raise MeasurementError(f"{stack.phase}: the mask has no LV cavity")
    areas = np.asarray(pixels * stack.spacing.pixel_area_mm2, dtype=np.float64)
    return slice_summation_ml(areas, slice_spacing_mm=stack.slice_spacing_mm)
