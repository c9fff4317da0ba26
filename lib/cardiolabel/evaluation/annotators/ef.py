"""EF of two annotators: the difference in a patient, bias and limits of agreement over patients."""

from __future__ import annotations

from typing import Any

import numpy as np

from cardiolabel.domain import Convention, Method
from cardiolabel.errors import MeasurementError
from cardiolabel.measurements.agreement import Agreement, agreement
from cardiolabel.measurements.records import PatientRow
from cardiolabel.reporting.rounding import rounded

CASES = "patients with an EF from both annotators"

_LIMITS = (
    "bias_pct",
    "sd_pct",
    "lower_limit_pct",
    "upper_limit_pct",
    "mean_absolute_difference_pct",
    "bias_interval_pct",
    "lower_limit_interval_pct",
    "upper_limit_interval_pct",
)


def ef_row(rows: tuple[PatientRow, ...], names: tuple[str, str]) -> dict[str, Any]:
    """Return a patient's EF of one method and convention by both annotators, and the difference."""
    first, other = rows
    difference = None if first.ef_pct is None or other.ef_pct is None else first.ef_pct - other.ef_pct
    return {
        "method": str(first.method),
        "convention": str(first.convention),
        "ef_pct": {name: rounded(row.ef_pct) for name, row in zip(names, rows, strict=True)},
        "ef_difference_pct": rounded(difference),
        "reasons": {name: row.reason for name, row in zip(names, rows, strict=True)},
    }


def ef_agreement(kind: tuple[str, str], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return bias and limits of agreement of one method and convention, or the reason why there are none."""
    ef_pairs = [list(row["ef_pct"].values()) for row in rows if row["ef_difference_pct"] is not None]
    pairs = np.array(ef_pairs, dtype=np.float64).reshape(-1, 2)
    limits, reason = None, ""
    try:
        limits = agreement(pairs[:, 0], pairs[:, 1], cases=CASES)
    except MeasurementError as error:
        reason = _shared_reason(rows) or str(error)
    return {
        "method": kind[0],
        "convention": kind[1],
        "n": len(pairs),
        **_limits_json(limits),
        "reason": reason,
    }


def _limits_json(limits: Agreement | None) -> dict[str, Any]:
    if limits is None:
        return dict.fromkeys(_LIMITS)
    lower, upper = limits.limits
    numbers = (limits.bias, limits.sd, lower, upper, limits.mae)
    intervals = (
        (limits.bias, limits.bias_margin),
        (lower, limits.limit_margin),
        (upper, limits.limit_margin),
    )
    values = [rounded(number) for number in numbers]
    ends = [[rounded(at - margin), rounded(at + margin)] for at, margin in intervals]
    return dict(zip(_LIMITS, [*values, *ends], strict=True))


def _shared_reason(rows: list[dict[str, Any]]) -> str:
    """Return the reason why no patient has an EF, where all have the same one."""
    if any(value is not None for row in rows for value in row["ef_pct"].values()):
        return ""
    reasons = {reason for row in rows for reason in row["reasons"].values()}
    return reasons.pop() if len(reasons) == 1 else ""


def trust(kind: tuple[str, str]) -> tuple[int, int]:
    """Rank methods and conventions by trust; the lowest is the most trusted."""
    return Method(kind[0]).rank, list(Convention).index(Convention(kind[1]))
