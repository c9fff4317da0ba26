"""What all pictures share: light ink on dark ground."""

from __future__ import annotations

from matplotlib.axes import Axes

INK, BACKGROUND = "#e8e8e8", "#15181c"

_PANEL, _FRAME = "#1d2126", "#555555"


def style(axes: Axes) -> None:
    """Give a plot the pictures' colours."""
    axes.set_facecolor(_PANEL)
    axes.tick_params(colors=INK, labelsize=8)
    for spine in axes.spines.values():
        spine.set_color(_FRAME)
