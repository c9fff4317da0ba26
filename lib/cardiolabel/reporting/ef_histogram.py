"""Histogram of EF over patients, as SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cardiolabel.reporting.theme import FRAME, INK, PANEL, STRUCTURE_COLORS

REDUCED_PCT, PRESERVED_PCT = 40.0, 50.0
"""Largest reduced EF, and smallest preserved EF.

Bozkurt et al. 2021, universal definition of heart failure, doi 10.1002/ejhf.2115.
"""

_BIN_PCT = 5
_LEFT, _TOP, _WIDTH, _HEIGHT = 44, 22, 560, 190
_BAR, _MARK = STRUCTURE_COLORS["myocardium"], STRUCTURE_COLORS["lv_cavity"]


def ef_histogram_svg(efs_pct: Sequence[float]) -> str:
    """Draw a histogram in bins of 5 points, with marks at 40 and 50 %.

    Parameters
    ----------
    efs_pct : sequence of float
        One EF per patient, within 0..100 %.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    edges = np.arange(0, 100 + _BIN_PCT, _BIN_PCT)
    counts = np.histogram(efs_pct, bins=edges)[0]
    most = max(int(counts.max()), 1)
    base = _TOP + _HEIGHT
    parts = [
        f'<svg viewBox="0 0 {_LEFT + _WIDTH + 16} {base + 40}" role="img" '
        f'aria-label="EF of {len(efs_pct)} patients" font-size="12" fill="{INK}">',
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}" fill="{PANEL}" stroke="{FRAME}"/>',
    ]
    for low, count in zip(edges[:-1], counts, strict=True):
        high = _HEIGHT * int(count) / most
        parts.append(
            f'<rect x="{_x(low) + 1:.1f}" y="{base - high:.1f}" width="{_x(_BIN_PCT) - _LEFT - 2:.1f}" '
            f'height="{high:.1f}" fill="{_BAR}"><title>{low} to {low + _BIN_PCT} %: {count}</title></rect>'
        )
    for at in (REDUCED_PCT, PRESERVED_PCT):
        parts.append(
            f'<line x1="{_x(at):.1f}" x2="{_x(at):.1f}" y1="{_TOP - 4}" y2="{base}" stroke="{_MARK}" '
            f'stroke-dasharray="5 4"/>'
            f'<text x="{_x(at):.1f}" y="{_TOP - 8}" text-anchor="middle" fill="{_MARK}">{at:.0f} %</text>'
        )
    for at in range(0, 101, 10):
        parts.append(f'<text x="{_x(at):.1f}" y="{base + 16}" text-anchor="middle">{at}</text>')
    middle = _LEFT + _WIDTH / 2
    parts.append(f'<text x="{middle}" y="{base + 34}" text-anchor="middle">EF, %</text>')
    for value, y in ((most, _TOP + 4), (0, base + 4)):
        parts.append(f'<text x="{_LEFT - 6}" y="{y}" text-anchor="end">{value}</text>')
    parts.append("</svg>")
    return "".join(parts)


def _x(ef_pct: float) -> float:
    return float(_LEFT + _WIDTH * ef_pct / 100)
