"""A model's card as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def model_card_markdown(card: Mapping[str, Any]) -> str:
    """Markdown page of a card's values, as `ModelCard.as_dict` gives them.

    Examples
    --------
    >>> print(model_card_markdown({"name": "camus", "settings": {"batch": 12}}))
    # Model card: camus
    <BLANKLINE>
    | | |
    |---|---|
    | name | camus |
    | settings: batch | 12 |
    <BLANKLINE>
    """
    lines = [f"# Model card: {card['name']}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in _flat(card)]
    return "\n".join([*lines, ""])


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}: ")
        else:
            rows.append((f"{prefix}{name}", value))
    return rows
