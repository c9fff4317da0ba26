"""A model card as a Markdown page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_FACTS = ("version", "network", "recipe", "size_px", "trained_on", "licence", "sha256")
_DISTANCES = (
    ("dice", "Dice", ".3f"),
    ("hd95_mm", "HD95, mm", ".2f"),
    ("msd_mm", "mean surface distance, mm", ".2f"),
)
_EXPLAINED = """Means over images at their own resolution; the epicardium is cavity and myocardium together.
EF of the predicted masks against EF of the reference masks, both measured by cardiolabel in the convention
named, in percentage points, with 95 % bootstrap intervals over patients."""


def model_card_markdown(card: Mapping[str, Any]) -> str:
    """Return the Markdown page of a card's values, as `ModelCard.as_dict` gives them.

    Parameters
    ----------
    card : mapping
        Its ``metrics`` hold, by the name of what the model was judged on, what
        `cardiolabel.evaluation.summary.card_metrics` gives.
    """
    lines = [f"# Model card: {card['name']}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {card[name]} |" for name in _FACTS if card.get(name) is not None]
    lines += [f"| arguments | `{json.dumps(card['arguments'])}` |", ""]
    if card.get("notes"):
        lines += [card["notes"], ""]
    for name, metrics in card["metrics"].items():
        lines += [f"## {name}: {metrics['patients']} patients, {metrics['images']} images", ""]
        lines += [*_structures(metrics), "", *_ef(metrics), ""]
        valid = metrics["valid_share"]
        shares = ", ".join(f"{side} {share:.1%}" for side, share in valid.items() if share is not None)
        lines += [f"Anatomically valid masks: {shares}.", ""]
    if card["metrics"]:
        lines += [_EXPLAINED, ""]
    lines += list(_intervals(card.get("intervals", {})))
    lines += ["## Training", "", "```json", json.dumps(card["settings"], indent=1), "```", ""]
    return "\n".join(lines)


def _intervals(intervals: Mapping[str, Any]) -> Iterator[str]:
    if not intervals:
        return
    yield from (
        "## Intervals of EF",
        "",
        "| EF | level | patients | half the width, points |",
        "|---|---:|---:|---|",
    )
    for way, interval in intervals.items():
        drawn, flat = (
            f"{interval['factor']:.2f} times the spread of sampled masks",
            f"{interval['flat_pct']:.1f}",
        )
        width = f"{drawn}; {flat} where none were sampled"
        yield f"| {way} | {interval['level']:.0%} | {interval['patients']} | {width} |"
    yield from ("", "Split conformal, by patients whom the model never saw.", "")


def _structures(metrics: Mapping[str, Any]) -> Iterator[str]:
    yield "| structure | phase | " + " | ".join(title for _, title, _ in _DISTANCES) + " |"
    yield "|---|---|" + "---:|" * len(_DISTANCES)
    for key in metrics:
        if key.startswith("dice_"):
            structure, phase = key.removeprefix("dice_").rsplit("_", 1)
            values = [(metrics.get(f"{name}_{structure}_{phase}"), form) for name, _, form in _DISTANCES]
            cells = [format(value, form) if value is not None else "" for value, form in values]
            yield f"| {structure.replace('_', ' ')} | {phase} | " + " | ".join(cells) + " |"


def _ef(metrics: Mapping[str, Any]) -> Iterator[str]:
    yield "| EF | patients | r | mean absolute error | bias | SD |"
    yield "|---|---:|---:|---:|---:|---:|"
    for key, row in metrics.items():
        if "_ef_" in key and isinstance(row, Mapping):
            method, convention = key.removesuffix("_pct").split("_ef_")
            mae, bias = (_with_interval(row, name) for name in ("mae", "bias"))
            r, sd = (_number(row.get(name), form) for name, form in (("r", ".3f"), ("sd", ".2f")))
            yield f"| {method.replace('_', ' ')}, {convention} | {row['n']} | {r} | {mae} | {bias} | {sd} |"


def _with_interval(row: Mapping[str, Any], name: str) -> str:
    interval = row.get(f"{name}_interval")
    if row.get(name) is None or not interval or None in interval:
        return _number(row.get(name), ".2f")
    return f"{row[name]:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
