"""Numbers and states as the panel says them."""

from __future__ import annotations

from typing import Any

from .logic import best_ef

METHODS = {
    "biplane": "biplane",
    "single-plane-A4C": "A4C only",
    "single-plane-A2C": "A2C only",
    "area-length": "area-length",
    "slice-summation": "slice summation",
}
SOURCES = {"final": "corrected", "original": "stored prediction", "model": "prediction", "none": "no mask"}
ENDED = ("published", "refused", "failed")


def headline(report: dict[str, Any], stored: dict[str, Any]) -> str:
    """Return the EF that is told first, and how unsaved work moved it."""
    best, before = best_ef(report), best_ef(stored)
    if best is None:
        reasons = [row["reason"] for row in report["patient"] if row["reason"]]
        return f"no EF: {reasons[0] if reasons else 'no mask'}"
    text = f"EF {best['ef_pct']:.0f} %"
    if report is not stored and before is not None:
        text += f" ({best['ef_pct'] - before['ef_pct']:+.1f} by unsaved work)"
    return text


def table(report: dict[str, Any]) -> list[str]:
    """Return a line for each method and convention: EF with its 90 % interval, EDV and ESV."""
    lines = []
    for row in report["patient"]:
        if row["ef_pct"] is None:
            continue
        low, high = row["ef_low_pct"], row["ef_high_pct"]
        interval = "" if low is None else f" ({low:.0f} to {high:.0f})"
        volumes = "" if row["edv_ml"] is None else f", EDV {row['edv_ml']:.0f} ml, ESV {row['esv_ml']:.0f} ml"
        method = METHODS.get(row["method"], row["method"])
        lines.append(f"{method}, {row['convention']}: {row['ef_pct']:.1f} %{interval}{volumes}")
    return lines


def flags(report: dict[str, Any]) -> str:
    """Return the quality flags, or that there are none."""
    return ", ".join(flag.replace("_", " ") for flag in report["quality"]) or "nothing to look at again"


def version_line(version: dict[str, Any]) -> str:
    """Return a label version's number, annotator and time (UTC), and whether it is the current one."""
    annotator, minute = version["author"] or "somebody", version["saved_at"][:16]
    ending = ", now" if version["current"] else ""
    return f"{version['version']}: {annotator}, {minute}{ending}"


def training(status: dict[str, Any]) -> str:
    """Return where a training is, or how it ended and why."""
    name, state = status["model"], status["state"]
    if state in ENDED:
        return f"{name}: {state}: {status['reason']}"
    share = f" {status['done']} of {status['total']}" if status["total"] else ""
    left = "" if status["eta_s"] is None else f", {status['eta_s']:.0f} s left"
    return f"{name}: {state}{share}{left}"
