"""Common style of all figures: light on dark, and a colour for each structure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, BACKGROUND = "#e8e8e8", "#15181c"
PANEL, FRAME = "#1d2126", "#555555"

STRUCTURE_COLORS = {
    "lv_cavity": "#ffd23f",
    "myocardium": "#3bceac",
    "left_atrium": "#7aa8ff",
    "right_ventricle": "#ee4266",
}
"""Contour colours by structure."""


def style(axes: Axes) -> None:
    """Apply the common style to a plot."""
    axes.set_facecolor(PANEL)
    axes.tick_params(colors=INK, labelsize=8)
    for spine in axes.spines.values():
        spine.set_color(FRAME)
