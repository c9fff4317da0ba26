"""What corrections cost and change, by annotator: time, drags, pixels, and EF."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from cardiolabel.reporting.rounding import rounded
from cardiolabel.store.versions import Version

__all__ = ["edit_cost"]

_GUIDELINE = "guideline"


def edit_cost(versions: Iterable[Version]) -> list[dict[str, Any]]:
    """Summarise the corrections that record their cost, as those of the page do.

    Parameters
    ----------
    versions : iterable of Version
        Versions of final labels.

    Returns
    -------
    list of dict
        By annotator in alphabetical order: ``corrections``, and the medians ``seconds``, ``drags``,
        ``changed_px`` and ``ef_moved_points`` (absolute change of EF by the guideline, None where none of the
        corrections has an EF before and after).
    """
    by_annotator: dict[str, list[Version]] = {}
    for version in versions:
        if isinstance(version.info.get("edit"), Mapping):
            by_annotator.setdefault(version.author, []).append(version)
    return [
        {
            "annotator": name,
            "corrections": len(own),
            **{
                key: rounded(median(values)) if (values := _values(own, key)) else None
                for key in ("seconds", "drags", "changed_px")
            },
            "ef_moved_points": rounded(median(moved)) if (moved := _moved(own)) else None,
        }
        for name, own in sorted(by_annotator.items())
    ]


def _values(versions: list[Version], key: str) -> list[float]:
    values = (version.info["edit"].get(key) for version in versions)
    return [float(value) for value in values if isinstance(value, int | float)]


def _moved(versions: list[Version]) -> list[float]:
    pairs = ((_ef(version.ef_before), _ef(version.ef_after)) for version in versions)
    return [abs(after - before) for before, after in pairs if before is not None and after is not None]


def _ef(rows: list[dict[str, Any]] | None) -> float | None:
    values = [row["ef_pct"] for row in rows or () if row.get("convention") == _GUIDELINE]
    return float(values[0]) if values and values[0] is not None else None
