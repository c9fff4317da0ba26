"""Figure of a robustness test: losses by corruption, and examples."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cardiolabel.evaluation.report import words
from cardiolabel.evaluation.robustness.conditions import LV
from cardiolabel.evaluation.robustness.corruptions import Masks
from cardiolabel.evaluation.robustness.robustness import Robustness, Shot
from cardiolabel.reporting.theme import BACKGROUND, INK, style

_COLORS = ("#ffd23f", "#3bceac", "#ee4266", "#7aa8ff")
_PREDICTED, _REFERENCE, _ZERO = "#ffd23f", "#3bceac", "#888888"
_COLS = 8
_ROW_INCHES, _PICTURE_INCHES, _WIDTH_INCHES = 0.27, 2.0, 15.0


def robustness_png(robustness: Robustness) -> bytes:
    """Draw drops of Dice and errors of EF as dots, and an example of each corruption with its contours.

    Parameters
    ----------
    found : Robustness

    Returns
    -------
    bytes
        A PNG file.
    """
    rows = -(-len(robustness.examples) // _COLS)
    heights = [_ROW_INCHES * len(robustness.conditions) + 1, *[_PICTURE_INCHES] * rows]
    figure = Figure(figsize=(_WIDTH_INCHES, sum(heights) + 0.6), facecolor=BACKGROUND, layout="constrained")
    FigureCanvasAgg(figure)
    halves = figure.add_gridspec(2, 1, height_ratios=[heights[0], sum(heights[1:])])
    above, below = figure.add_subfigure(halves[0]), figure.add_subfigure(halves[1])
    for part in (above, below):
        part.set_facecolor(BACKGROUND)
    drops, efs = above.subplots(1, 2, sharey=True, width_ratios=[2, 1])
    _draw_drops(drops, robustness)
    _draw_efs(efs, robustness)
    for axes, shot in zip(below.subplots(rows, _COLS, squeeze=False).flat, robustness.examples, strict=False):
        _draw_example(axes, shot, robustness.lv_value, white=_white(robustness.examples[0]))
    for axes in below.axes:
        axes.set_axis_off()
    figure.suptitle(f"{robustness.model}, {robustness.selection}", color=INK, fontsize=13, parse_math=False)
    below.suptitle(
        f"{robustness.example_image}: LV cavity predicted (yellow) and by the reference (green)",
        color=INK,
        fontsize=11,
        parse_math=False,
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _draw_drops(axes: Axes, robustness: Robustness) -> None:
    style(axes)
    places = np.arange(len(robustness.conditions))
    axes.set_yticks(
        places, [f"{row.corruption.strength}  {row.corruption.name}" for row in robustness.conditions]
    )
    axes.invert_yaxis()
    axes.axvline(0, color=_ZERO, linewidth=1, linestyle=":")
    for index, name in enumerate(robustness.structures):
        color = _COLORS[index % len(_COLORS)]
        drops = [row.drop[name] for row in robustness.conditions]
        if name == LV:
            for place, drop in zip(places, drops, strict=True):
                if drop.interval:
                    axes.plot(drop.interval, [place, place], color=color, linewidth=2, alpha=0.6)
        size = 7 if name == LV else 4
        axes.plot(
            [drop.points for drop in drops], places, "o", color=color, markersize=size, label=words(name)
        )
    axes.set_xlabel("lost Dice points (bar: 95 % interval of the LV cavity)", color=INK, fontsize=9)
    axes.grid(axis="y", color=_ZERO, alpha=0.2)
    axes.legend(fontsize=8, facecolor=BACKGROUND, labelcolor=INK)


def _draw_efs(axes: Axes, robustness: Robustness) -> None:
    style(axes)
    axes.set_xlabel("EF, mean absolute error in points (patients measured)", color=INK, fontsize=9)
    axes.grid(axis="y", color=_ZERO, alpha=0.2)
    for place, row in enumerate(robustness.conditions):
        if row.ef_mae_points is not None:
            axes.barh(place, row.ef_mae_points, height=0.6, color=_COLORS[3])
        axes.text(
            row.ef_mae_points or 0,
            place,
            f"  {len(row.efs)} of {row.ef_patients}",
            color=INK,
            fontsize=8,
            va="center",
        )
    axes.margins(x=0.2)
    axes.set_xlim(left=0)


def _white(plain: Shot) -> float:
    """Return the grey shown as white in all examples, so that a dark image looks dark."""
    pixels = plain.clip.pixels
    return 255.0 if pixels.dtype == np.uint8 else float(np.percentile(pixels.astype(np.float64), 99.5))


def _draw_example(axes: Axes, shot: Shot, lv_value: int, *, white: float) -> None:
    spacing = shot.clip.spacing
    aspect = spacing.row_mm / spacing.col_mm if spacing else 1.0
    greys = shot.clip.pixels[0].astype(np.float64)
    axes.imshow(greys, cmap="gray", aspect=aspect, vmin=float(greys.min()), vmax=white)
    for masks, color in ((shot.reference, _REFERENCE), (shot.predicted, _PREDICTED)):
        _outline(axes, masks, lv_value, color)
    axes.set_title(shot.corruption.name, color=INK, fontsize=9, parse_math=False)


def _outline(axes: Axes, masks: Masks, lv_value: int, color: str) -> None:
    cavity = masks[0] == lv_value
    if cavity.any() and not cavity.all():
        axes.contour(cavity.astype(float), [0.5], colors=color, linewidths=1.0)
