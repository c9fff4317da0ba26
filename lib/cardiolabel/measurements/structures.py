"""Structures that a label set allows to compare, and their mask values."""

from __future__ import annotations

from cardiolabel.domain import LabelSet


def structure_values(labels: LabelSet) -> dict[str, tuple[int, ...]]:
    """Return the structures that a label set allows to compare, with their mask values.

    They are those of the set, in its order, and ``epicardium``: cavity and myocardium together, where the set
    has both.

    >>> structure_values(LabelSet("wall", (("lv_cavity", 1), ("myocardium", 2))))
    {'lv_cavity': (1,), 'myocardium': (2,), 'epicardium': (1, 2)}
    """
    values_of: dict[str, tuple[int, ...]] = {name: (value,) for name, value in labels.values}
    if labels.has("lv_cavity") and labels.has("myocardium"):
        values_of["epicardium"] = (labels.value("lv_cavity"), labels.value("myocardium"))
    return values_of
