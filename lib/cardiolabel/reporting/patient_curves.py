"""Curves over the number of labelled patients."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

from cardiolabel.reporting.theme import BACKGROUND, INK, PANEL, style


class PatientCurves:
    """Plots side by side over labelled patients; draw on ``axes``, then call `png`.

    Parameters
    ----------
    titles : sequence of str
        Of the plots.
    patients : sequence of int
        Where the axis, which is logarithmic, has its ticks.
    """

    def __init__(self, titles: Sequence[str], patients: Sequence[int]) -> None:
        self._figure = Figure(figsize=(12, 4.4), facecolor=BACKGROUND, layout="constrained")
        FigureCanvasAgg(self._figure)
        self.axes: list[Axes] = list(self._figure.subplots(1, len(titles)))
        for axes, title in zip(self.axes, titles, strict=True):
            style(axes)
            axes.set_title(title, color=INK, fontsize=10)
            axes.set_xlabel("labelled patients", color=INK)
            axes.set_xscale("log", base=2)
            axes.set_xticks(patients)
            axes.xaxis.set_major_formatter(ScalarFormatter())
            axes.xaxis.set_minor_locator(NullLocator())

    def png(self) -> bytes:
        """Return the picture as PNG, with a legend where something is named."""
        for axes in self.axes:
            if axes.get_legend_handles_labels()[0]:
                axes.legend(facecolor=PANEL, labelcolor=INK, fontsize=8)
        buffer = io.BytesIO()
        self._figure.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()
