"""Figure of accuracy against speed, a dot per recipe and phase."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import count

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator, ScalarFormatter

from cardiolabel.domain import Phase
from cardiolabel.experiments.comparison.outcome import Outcome
from cardiolabel.reporting.theme import BACKGROUND, INK, style

STRUCTURE = "lv_cavity"

_COLORS = {Phase.ED: "#3bceac", Phase.ES: "#ffd23f"}
_JOINT = "#8a8f96"
_TICKS = tuple(base * 10**power for power in range(-1, 4) for base in (1, 2, 5))


def speed_figure(outcomes: Sequence[Outcome]) -> bytes:
    """Draw the LV cavity's Dice at ED and ES over the time of a frame as PNG.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Those without a time or a Dice are left out.

    Returns
    -------
    bytes
        A PNG file.
    """
    figure = Figure(figsize=(9, 5.6), facecolor=BACKGROUND)
    figure.set_layout_engine("constrained", w_pad=0.14, h_pad=0.14)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    style(axes)
    shown = [outcome for outcome in outcomes if outcome.ms_per_frame and _points(outcome)]
    axes.set_title("LV cavity: accuracy against speed", color=INK, fontsize=12, loc="left")
    axes.set_ylabel("mean Dice", color=INK, fontsize=10)
    axes.set_xlabel("network time of one frame on the CPU, ms", color=INK, fontsize=10)
    if not shown:
        axes.text(0.5, 0.5, "No recipe was compared.", color=INK, ha="center", transform=axes.transAxes)
    else:
        _draw(axes, shown)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _points(outcome: Outcome) -> dict[Phase, float]:
    dice = {phase: outcome.dice.get(f"{STRUCTURE}_{phase}") for phase in _COLORS}
    return {phase: value for phase, value in dice.items() if value is not None}


def _draw(axes: Axes, shown: Sequence[Outcome]) -> None:
    times = [outcome.ms_per_frame or 0.0 for outcome in shown]
    axes.set_xscale("log")
    axes.set_xlim(min(times) / 1.5, max(times) * 1.5)
    low, high = axes.get_xlim()
    axes.set_xticks([tick for tick in _TICKS if low <= tick <= high])
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    for drawn_outcome, at in zip(shown, times, strict=True):
        values = list(_points(drawn_outcome).values())
        axes.plot([at] * len(values), values, color=_JOINT, linewidth=1)
    for phase, color in _COLORS.items():
        marks = [(at, _points(outcome).get(phase)) for outcome, at in zip(shown, times, strict=True)]
        measured = [(at, dice) for at, dice in marks if dice is not None]
        axes.plot(
            [at for at, _ in measured],
            [dice for _, dice in measured],
            "o",
            color=color,
            markersize=8,
            markeredgecolor=BACKGROUND,
            label=str(phase),
            zorder=3,
        )
    _name(axes, shown, times)
    axes.legend(facecolor=BACKGROUND, labelcolor=INK, fontsize=9, loc="lower right")


def _name(axes: Axes, shown: Sequence[Outcome], times: Sequence[float]) -> None:
    """Place names above or below their dots, as near as possible without covering a dot or another name."""
    values = [value for outcome in shown for value in _points(outcome).values()]
    size = max(max(values) - min(values), 0.02)
    axes.set_ylim(min(values) - 0.35 * size, max(values) + 0.35 * size)

    def place(at: float, dice: float) -> tuple[float, float]:
        x, y = axes.transLimits.transform(axes.transScale.transform((at, dice)))
        return float(x), float(y)

    ends = [
        [place(at, dice) for dice in _points(outcome).values()]
        for outcome, at in zip(shown, times, strict=True)
    ]
    taken = [(x, 0.01, y) for dots in ends for x, y in dots]
    for outcome, dots in zip(shown, ends, strict=True):
        half = 0.006 * len(outcome.recipe)
        middle = min(max(dots[0][0], half + 0.01), 0.99 - half)
        x, y, height = next(
            (*dot, dot[1] + side * (0.045 + 0.02 * step))
            for step in count()
            for dot, side in ((max(dots, key=_height), 1), (min(dots, key=_height), -1))
            if not _covers(middle, half, dot[1] + side * (0.045 + 0.02 * step), taken)
        )
        taken.append((middle, half, height))
        line = {"arrowstyle": "-", "color": _JOINT, "linewidth": 0.5}
        name = axes.annotate(
            outcome.recipe,
            (x, y),
            (middle, height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=INK,
            fontsize=8.5,
            ha="center",
            va="center",
            parse_math=False,
            arrowprops=line if abs(height - y) > 0.06 else None,
        )
        name.set_in_layout(False)  # very many would leave no room for the plot


def _height(dot: tuple[float, float]) -> float:
    return dot[1]


def _covers(middle: float, half: float, height: float, taken: Sequence[tuple[float, float, float]]) -> bool:
    return any(abs(middle - at) < half + wide and abs(height - high) < 0.04 for at, wide, high in taken)
