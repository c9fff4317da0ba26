"""The beats of one view: which frames are its ED and ES."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cardiolabel.domain import Phase, View
from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.geometry import LVGeometry
from cardiolabel.measurements.phases import Beat, find_beats
from cardiolabel.measurements.quality import Flag
from cardiolabel.measurements.records import FrameRow, MaskedImage


@dataclass(frozen=True)
class Cycle:
    """ED and ES of one beat of one view; both frames have a geometry."""

    ed: FrameRow
    es: FrameRow

    def __post_init__(self) -> None:
        if self.ed.geometry is None or self.es.geometry is None:
            raise ValueError("a cycle needs a measured frame at ED and at ES")

    @property
    def ed_geometry(self) -> LVGeometry:
        """Geometry at end-diastole."""
        return _known(self.ed)

    @property
    def es_geometry(self) -> LVGeometry:
        """Geometry at end-systole."""
        return _known(self.es)

    def at(self, phase: Phase) -> LVGeometry:
        """Geometry at ED or ES."""
        return self.ed_geometry if phase is Phase.ED else self.es_geometry


@dataclass(frozen=True)
class ViewCycles:
    """The beats of one view, or the reason why there are none."""

    view: View
    cycles: tuple[Cycle, ...]
    reason: str
    flags: tuple[Flag, ...]
    images: int


def view_cycles(
    view: View,
    images: list[MaskedImage],
    rows_of: dict[str, list[FrameRow]],
    beats: dict[str, list[Beat]],
) -> ViewCycles:
    """Find a view's beats among its images; those of cines are also noted in ``beats``.

    Stills labelled ED and ES where both exist; otherwise cines, at the frames that the dataset names
    or at the beats of their area curve, temporal outliers left out. Of several stills of one phase the
    first with a cavity counts.
    """
    stills = {
        phase: [row for image in images if image.phase is phase for row in rows_of[image.image_id]]
        for phase in (Phase.ED, Phase.ES)
    }
    cines = [image for image in images if image.phase is Phase.CINE]
    cine_cycles, cine_reasons, guessed = _cine_cycles(cines, rows_of, beats)
    if stills[Phase.ED] and stills[Phase.ES]:
        ed, es = (_first_measured(stills[phase]) for phase in (Phase.ED, Phase.ES))
        broken = [f"{row.phase}: {row.reason}" for row in (ed, es) if row.geometry is None]
        if ed.geometry and es.geometry and ed.geometry.calibrated != es.geometry.calibrated:
            broken = ["only one of ED and ES carries a pixel spacing, so their sizes cannot be compared"]
        if not broken:
            return ViewCycles(view, (Cycle(ed, es),), "", (), len(images))
        if not cine_cycles:
            return ViewCycles(view, (), f"{view} {'; '.join(broken)}", (), len(images))
    if cine_cycles:
        flags = (Flag.PHASES_FROM_AREA,) if guessed else ()
        return ViewCycles(view, tuple(cine_cycles), "", flags, len(images))
    if not images:
        reason = f"no {view} image"
    elif cines:
        reason = "; ".join(f"{view} cine: {why}" for why in cine_reasons)
    else:
        missing = Phase.ES if stills[Phase.ED] else Phase.ED
        reason = f"no {view} image at {missing}"
    return ViewCycles(view, (), reason, (), len(images))


def _cine_cycles(
    cines: list[MaskedImage], rows_of: dict[str, list[FrameRow]], beats: dict[str, list[Beat]]
) -> tuple[list[Cycle], list[str], bool]:
    cycles: list[Cycle] = []
    reasons: list[str] = []
    guessed = False
    for image in cines:
        rows = rows_of[image.image_id]
        try:
            found, named = _cine_beats(image, rows)
        except MeasurementError as error:
            reasons.append(image.problem or str(error))
            continue
        beats[image.image_id] = found
        guessed |= not named
        cycles += [Cycle(rows[beat.ed], rows[beat.es]) for beat in found]
    return cycles, reasons, guessed


def _cine_beats(image: MaskedImage, rows: list[FrameRow]) -> tuple[list[Beat], bool]:
    if image.ed_frame and image.es_frame:
        named = Beat(image.ed_frame - 1, image.es_frame - 1)
        if max(named.ed, named.es) < len(rows) and rows[named.ed].geometry and rows[named.es].geometry:
            return [named], True
    areas = np.array(
        [
            row.geometry.area_mm2 if row.geometry and Flag.TEMPORAL_OUTLIER not in row.quality else np.nan
            for row in rows
        ]
    )
    return find_beats(areas, image.frame_rate_hz), False


def _first_measured(rows: list[FrameRow]) -> FrameRow:
    return next((row for row in rows if row.geometry), rows[0])


def _known(row: FrameRow) -> LVGeometry:
    if row.geometry is None:
        raise ValueError(f"{row.image_id} frame {row.frame} has no geometry")
    return row.geometry
