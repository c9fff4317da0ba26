"""Bland-Altman plots: differences of paired values against their means, with limits of agreement."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.agreement import Agreement, agreement
from cardiolabel.reporting.theme import BACKGROUND, INK, style

_POINT, _BIAS, _LIMIT, _ZERO = "#3bceac", "#ffd23f", "#ee4266", "#8a8f96"
_PANEL_INCHES, _PAD_INCHES, _MAX_PANELS = (6.6, 4.7), 0.14, 24
_ALL_NAMED, _NAME_CHARACTERS, _NARROWEST = 6, 18, 2.0
_NAME_SIZE = (0.2, 0.05)  # of a case's name, as shares of the axes
_BARS_AT = (0.95, 0.965, 0.98)


@dataclass(frozen=True, eq=False)
class PairedValues:
    """Paired readings of the same cases, shown in one panel.

    Parameters
    ----------
    first, second : ndarray, shape (N,)
        Finite values; the difference is first minus second.
    names : tuple of str
        Who read first and second: two annotators, or a model and its reference.
    cases : tuple of str
        Name of each case, written beside its point where the cases are few or it lies outside the
        limits, and where there is room.
    quantity : str
        What was read, with its method: ``EF, biplane``.
    value_unit, difference_unit : str
        Unit of the values and of their differences, which for percentages are points.
    cases_name : str
        What the cases are, in the plural.

    Raises
    ------
    ValueError
        The values and the names of the cases differ in number.
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    names: tuple[str, str]
    cases: tuple[str, ...]
    quantity: str
    value_unit: str
    difference_unit: str
    cases_name: str = "cases"

    def __post_init__(self) -> None:
        if self.first.shape != self.second.shape or self.first.shape != (len(self.cases),):
            raise ValueError(
                f"expected a first and a second value per case, got {self.first.shape} and "
                f"{self.second.shape} for {len(self.cases)} cases"
            )


def bland_altman_png(panels: Sequence[PairedValues], *, empty: str) -> bytes:
    """Draw one panel per pair of readers as PNG; of more than 24, those with the most cases.

    Each panel has the bias and the 95 % limits of agreement, with their 95 % confidence intervals as upright
    bars and in numbers. With fewer than three cases there are only points, and a sentence instead of limits.

    Parameters
    ----------
    panels : sequence of PairedValues
    empty : str
        What a picture without panels says.

    Returns
    -------
    bytes
        A PNG file.

    References
    ----------
    Bland and Altman 1986, doi 10.1016/S0140-6736(86)90837-8.
    """
    shown = sorted(panels, key=lambda panel: -len(panel.cases))[:_MAX_PANELS]
    cols = min(len(shown), 2 if len(shown) <= 4 else 3) or 1
    rows = -(-len(shown) // cols) or 1
    width, height = _PANEL_INCHES
    figure = Figure(figsize=(cols * width, rows * height), facecolor=BACKGROUND)
    figure.set_layout_engine("constrained", w_pad=_PAD_INCHES, h_pad=_PAD_INCHES)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, cols)
    for index, panel in enumerate(shown):
        _draw(figure.add_subplot(grid[divmod(index, cols)]), panel)
    if not shown:
        figure.text(0.5, 0.5, textwrap.fill(empty, 50), color=INK, ha="center", va="center", fontsize=13)
    if len(shown) < len(panels):
        figure.suptitle(f"{len(shown)} of {len(panels)} pairs, those with the most cases", color=INK)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _draw(axes: Axes, panel: PairedValues) -> None:
    style(axes)
    first, other = (_shortened(name) for name in panel.names)
    axes.set_title(f"{first} against {other}", color=INK, fontsize=12, loc="left", parse_math=False)
    axes.set_xlabel(
        f"mean of both, {panel.value_unit}  ({panel.quantity}; n = {len(panel.cases)})",
        color=INK,
        fontsize=9.5,
        parse_math=False,
    )
    axes.set_ylabel(f"{first} − {other}, {panel.difference_unit}", color=INK, fontsize=9.5, parse_math=False)
    means, differences = (panel.first + panel.second) / 2, panel.first - panel.second
    try:
        limits = agreement(panel.first, panel.second, cases=panel.cases_name)
    except MeasurementError as error:
        _draw_too_few(axes, panel, means, differences, str(error))
        return
    lower, upper = limits.limits
    _set_range(axes, means, np.array([*differences, lower, upper, 0.0]))
    _draw_lines(axes, limits, panel.difference_unit)
    outside = (differences < lower) | (differences > upper)
    _draw_points(axes, panel, means, differences, named=outside | (len(means) <= _ALL_NAMED))


def _draw_too_few(
    axes: Axes,
    panel: PairedValues,
    means: NDArray[np.float64],
    differences: NDArray[np.float64],
    reason: str,
) -> None:
    if len(means):
        _set_range(axes, means, np.array([*differences, 0.0]), room_above=0.6)
        axes.axhline(0, color=_ZERO, linewidth=1, linestyle=":")
        _draw_points(axes, panel, means, differences, named=np.ones(len(means), dtype=bool))
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    axes.text(
        0.5,
        0.95 if len(means) else 0.5,
        textwrap.fill(f"No limits: {reason}.", 46),
        color=INK,
        ha="center",
        va="top" if len(means) else "center",
        fontsize=11,
        transform=axes.transAxes,
        parse_math=False,
    )


def _set_range(
    axes: Axes, means: NDArray[np.float64], heights: NDArray[np.float64], *, room_above: float = 0.15
) -> None:
    low, high = float(heights.min()), float(heights.max())
    size = max(high - low, _NARROWEST)
    middle = (high + low) / 2
    axes.set_ylim(middle - 0.65 * size, middle + (0.5 + room_above) * size)
    left, right = float(means.min()), float(means.max())
    margin = 0.5 * max(_NARROWEST - (right - left), 0) + 0.12 * max(right - left, _NARROWEST)
    axes.set_xlim(left - margin, right + margin)


def _draw_lines(axes: Axes, limits: Agreement, unit: str) -> None:
    lower, upper = limits.limits
    axes.axhline(0, color=_ZERO, linewidth=1, linestyle=":")
    lines = (
        (upper, limits.limit_margin, _LIMIT, "--", "+1.96 SD"),
        (limits.bias, limits.bias_margin, _BIAS, "-", "bias"),
        (lower, limits.limit_margin, _LIMIT, "--", "−1.96 SD"),
    )
    places = _apart([_height(axes, at) for at, *_ in lines], 0.2)
    for (at, margin, color, dashes, name), place, bar in zip(lines, places, _BARS_AT, strict=True):
        axes.axhline(at, color=color, linewidth=1.6, linestyle=dashes)
        axes.plot(
            [bar, bar],
            [at - margin, at + margin],
            color=color,
            linewidth=3,
            alpha=0.7,
            transform=axes.get_yaxis_transform(),
            solid_capstyle="butt",
        )
        axes.text(
            1.02,
            place,
            f"{name}\n{_signed(at)} {unit}\n95 % CI {_signed(at - margin)} to {_signed(at + margin)}",
            color=color,
            fontsize=9,
            va="center",
            transform=axes.transAxes,
            parse_math=False,
        )


def _draw_points(
    axes: Axes,
    panel: PairedValues,
    means: NDArray[np.float64],
    differences: NDArray[np.float64],
    *,
    named: NDArray[np.bool_],
) -> None:
    axes.plot(means, differences, "o", color=_POINT, markersize=6, markeredgecolor=BACKGROUND, zorder=3)
    taken: list[tuple[float, float]] = []
    for index in np.flatnonzero(named):
        x, y = (float(at) for at in axes.transLimits.transform((means[index], differences[index])))
        before = x > 0.5  # towards the middle, so that no name runs off
        left = x - _NAME_SIZE[0] if before else x
        if any(abs(left - a) < _NAME_SIZE[0] and abs(y - b) < _NAME_SIZE[1] for a, b in taken):
            continue
        taken.append((left, y))
        axes.annotate(
            _shortened(panel.cases[index]),
            (means[index], differences[index]),
            xytext=(-7 if before else 7, 4),
            textcoords="offset points",
            ha="right" if before else "left",
            color=INK,
            fontsize=8,
            parse_math=False,
        )


def _height(axes: Axes, at: float) -> float:
    """Return the height of a value as a share of the axes."""
    low, high = axes.get_ylim()
    return (at - low) / (high - low)


def _apart(places: list[float], gap: float) -> list[float]:
    """Return three heights, the highest first, moved apart from the middle one until their texts do not
    overlap.

    >>> _apart([0.6, 0.5, 0.1], 0.2)
    [0.7, 0.5, 0.1]
    """
    high, middle, low = places
    return [max(high, middle + gap), middle, min(low, middle - gap)]


def _signed(value: float) -> str:
    """Return a number with one decimal and its sign; zero without sign.

    >>> _signed(2.04), _signed(-0.04)
    ('+2.0', '0.0')
    """
    rounded = round(value, 1)
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME_CHARACTERS else name[: _NAME_CHARACTERS - 1] + "…"
