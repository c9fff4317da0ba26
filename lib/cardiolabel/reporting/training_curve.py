"""Training curves: loss and mean Dice over the images seen."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cardiolabel.reporting.theme import BACKGROUND, INK, style

_LOSS, _DICE = "#ee4266", "#3bceac"


def training_curve_png(curve: Sequence[Sequence[float | None]], *, title: str) -> bytes:
    """Draw a curve as PNG.

    Parameters
    ----------
    curve : sequence of (images, loss, Dice) or (images, loss)
        Where there were no patients to measure Dice by, it is said.
    title : str

    Returns
    -------
    bytes
        A PNG file.
    """
    figure = Figure(figsize=(8, 4.2), facecolor=BACKGROUND, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2)
    for axes, (name, at, color) in zip(panels, (("loss", 1, _LOSS), ("mean Dice", 2, _DICE)), strict=True):
        style(axes)
        axes.set_xlabel("images seen", color=INK)
        axes.set_title(name, color=INK, fontsize=10)
        points = [(point[0], point[at]) for point in curve if len(point) > at and point[at] is not None]
        if points:
            axes.plot(*zip(*points, strict=True), color=color, marker="o", markersize=3)
        else:
            axes.text(0.5, 0.5, "not measured", color=INK, ha="center", transform=axes.transAxes)
    figure.suptitle(title, color=INK, fontsize=11, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()
