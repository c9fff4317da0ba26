"""The figure of a patient: contours, axes and discs at ED and ES, area curves, volumes and EF."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cardiolabel.domain import Clip, Method, Phase, View
from cardiolabel.measurements.geometry import LVGeometry
from cardiolabel.measurements.records import FrameRow, PatientRow, Study
from cardiolabel.reporting.theme import BACKGROUND, INK, STRUCTURE_COLORS, style

_CONTOUR, _AXIS, _DISC = STRUCTURE_COLORS["lv_cavity"], "#3bceac", "#ee4266"
_LINE_CHARACTERS, _REASON_LINES = 50, 2


def study_figure(study: Study, clips: Mapping[str, Clip], *, sources: Mapping[str, str]) -> bytes:
    """Draw a patient as PNG.

    Parameters
    ----------
    study : Study
    clips : mapping
        Image id to its clip, for the images of ``study.phase_frames``.
    sources : mapping
        Image id to where its mask came from, named under each frame.

    Returns
    -------
    bytes
        A PNG file.
    """
    figure = Figure(figsize=(12, 7.2), facecolor=BACKGROUND, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 3, width_ratios=[1, 1, 0.95])
    for row, view in enumerate((View.A4C, View.A2C)):
        for col, phase in enumerate((Phase.ED, Phase.ES)):
            axes = figure.add_subplot(grid[row, col])
            _draw_phase(axes, study, view, phase, clips, sources)
    _draw_curve(figure.add_subplot(grid[0, 2]), study)
    _draw_numbers(figure.add_subplot(grid[1, 2]), study)
    figure.suptitle(f"Patient {study.patient}", color=INK, fontsize=13, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _draw_phase(
    axes: Axes,
    study: Study,
    view: View,
    phase: Phase,
    clips: Mapping[str, Clip],
    sources: Mapping[str, str],
) -> None:
    axes.set_facecolor("black")
    axes.set_xticks([])
    axes.set_yticks([])
    frame = study.phase_frames.get((view, phase))
    axes.set_title(f"{view} {phase}", color=INK, fontsize=11)
    if frame is None or frame.geometry is None or frame.image_id not in clips:
        axes.text(0.5, 0.5, "not measurable", color=INK, ha="center", transform=axes.transAxes)
        return
    clip = clips[frame.image_id]
    spacing = clip.spacing
    aspect = spacing.row_mm / spacing.col_mm if spacing else 1.0
    axes.imshow(clip.pixels[frame.frame], cmap="gray", aspect=aspect)
    _draw_geometry(axes, frame.geometry)
    source = sources.get(frame.image_id, "none")
    axes.set_xlabel(f"{_frame_text(frame)}\nmask: {source}", color=INK, fontsize=8.5, parse_math=False)


def _draw_geometry(axes: Axes, geometry: LVGeometry) -> None:
    closed = np.vstack([geometry.contour_px, geometry.contour_px[:1]])
    for disc in geometry.discs_px:
        _line(axes, disc, _DISC, 0.7)
    _line(axes, closed, _CONTOUR, 1.4)
    _line(axes, geometry.annulus_px, _AXIS, 1.6)
    base = geometry.annulus_px.mean(axis=0)
    _line(axes, np.stack([base, geometry.apex_px]), _AXIS, 1.6)


def _line(axes: Axes, points: NDArray[np.float64], color: str, width: float) -> None:
    axes.plot(points[:, 1], points[:, 0], color=color, linewidth=width)


def _frame_text(frame: FrameRow) -> str:
    if frame.lv_area_mm2 is None or frame.lv_length_mm is None or frame.lv_volume_ml is None:
        return frame.reason
    return (
        f"area {frame.lv_area_mm2 / 100:.1f} cm²  length {frame.lv_length_mm:.0f} mm  "
        f"single-plane {frame.lv_volume_ml:.0f} ml"
    )


def _draw_curve(axes: Axes, study: Study) -> None:
    style(axes)
    drawn = False
    for image_id in dict.fromkeys(row.image_id for row in study.frames):
        rows = [row for row in study.frames if row.image_id == image_id]
        if len(rows) < 2 or rows[0].view.is_stack:
            continue
        areas = [row.geometry.area if row.geometry else np.nan for row in rows]
        if np.isnan(areas).all():
            continue
        calibrated = all(row.geometry.calibrated for row in rows if row.geometry)
        line = axes.plot(np.arange(len(rows)), areas, linewidth=1.5, label=str(rows[0].view))[0]
        for beat in study.beats.get(image_id, []):
            for index, marker in ((beat.ed, "^"), (beat.es, "v")):
                axes.plot(index, areas[index], marker, color=line.get_color(), markersize=8)
        axes.set_ylabel("LV area, mm²" if calibrated else "LV area, px", color=INK, fontsize=9)
        drawn = True
    axes.set_title("Area curve (▲ ED, ▼ ES)", color=INK, fontsize=11)
    axes.set_xlabel("frame", color=INK, fontsize=9)
    if drawn:
        axes.legend(fontsize=8)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no cine measured", color=INK, ha="center", transform=axes.transAxes)


def _draw_numbers(axes: Axes, study: Study) -> None:
    axes.set_axis_off()
    lines = []
    for method in sorted(Method, key=lambda method: method.rank):
        of_method = [row for row in study.rows if row.method is method]
        if of_method:
            lines += [str(method), *_method_lines(of_method)]
    if any(row.ef_low_pct is not None for row in study.rows):
        lines += ["", "in brackets: the EF of annotators' masks,", "in 90 % of patients"]
    flags = sorted({str(flag) for row in study.rows for flag in row.quality})
    lines += ["", *_wrapped("flags: ", ", ".join(flags) if flags else "none")]
    text = axes.text(
        0.0,
        1.0,
        "\n".join(lines),
        color=INK,
        va="top",
        fontsize=8.5,
        family="monospace",
        transform=axes.transAxes,
        parse_math=False,
    )
    text.set_in_layout(False)


def _method_lines(rows: list[PatientRow]) -> list[str]:
    """Return a line per convention; a reason that all share is given once."""
    reasons = {row.reason for row in rows}
    if len(reasons) == 1 and all(row.ef_pct is None for row in rows):
        return _wrapped("  not measurable: ", reasons.pop())
    return [line for row in rows for line in _row_lines(row)]


def _row_lines(row: PatientRow) -> list[str]:
    name = f"  {row.convention:<10}"
    if row.ef_pct is None:
        return _wrapped(f"{name}none: ", row.reason)
    volumes = ""
    if row.edv_ml is not None and row.esv_ml is not None:
        volumes = f"  EDV {row.edv_ml:3.0f}  ESV {row.esv_ml:3.0f} ml"
    interval = ""
    if row.ef_low_pct is not None and row.ef_high_pct is not None:
        interval = f" ({row.ef_low_pct:.0f}–{row.ef_high_pct:.0f})"
    return [f"{name}EF {row.ef_pct:4.1f} %{interval}{volumes}"]


def _wrapped(head: str, text: str) -> list[str]:
    """Wrap a head and a text to at most two lines; the tables hold the whole text."""
    return textwrap.wrap(
        head + text,
        _LINE_CHARACTERS,
        subsequent_indent="    ",
        max_lines=_REASON_LINES,
        placeholder=" …",
        break_on_hyphens=False,
    )
