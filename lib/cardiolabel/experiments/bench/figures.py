"""Results of a benchmark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Target:
    """Bound of a value: at most ``most``, or at least ``least``."""

    most: float | None = None
    least: float | None = None

    def holds(self, value: float) -> bool:
        """Return whether a value is within the bound."""
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)

    def __str__(self) -> str:
        bounds = (("≤", self.most), ("≥", self.least))
        return " ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)


@dataclass(frozen=True)
class Found:
    """One measured value: part of the benchmark, name, unit (``x``: a ratio) and target."""

    part: str
    name: str
    value: float
    unit: str
    target: Target | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-safe form."""
        holds = self.target.holds(self.value) if self.target else None
        return {**asdict(self), "holds": holds}


def table(figures: Sequence[Found]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = ["| part | | value | target | |", "|---|---|---:|---:|---|"]
    for figure in figures:
        target, is_met = ("", "") if figure.target is None else (str(figure.target), _kept(figure))
        lines.append(
            f"| {figure.part} | {figure.name} | {_rounded(figure.value)} {figure.unit} | {target}"
            f" | {is_met} |"
        )
    return lines


def _kept(figure: Found) -> str:
    return "kept" if figure.target and figure.target.holds(figure.value) else "missed"


def _rounded(value: float) -> str:
    """Return three digits, at most two of them decimals.

    >>> [_rounded(value) for value in (0.034, 1.234, 56.78, 1234.5)]
    ['0.03', '1.23', '56.8', '1234']
    """
    decimals = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.{decimals}f}"
