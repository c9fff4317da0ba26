"""Bland-Altman plot of annotators' EF."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cardiolabel.evaluation.annotators.ef import CASES
from cardiolabel.measurements.agreement import MIN_PAIRS
from cardiolabel.reporting.bland_altman import PairedValues, bland_altman_png


def agreement_png(agreement: Mapping[str, Any]) -> bytes:
    """Draw Bland-Altman plots of EF, one panel per pair of annotators.

    A pair is shown by the most trusted method and convention that at least three patients have, else by the
    first that any patient has.

    Parameters
    ----------
    found : mapping
        As `agreement_json` returns it.

    Returns
    -------
    bytes
        A PNG file.
    """
    panels = [_panel(pair) for pair in agreement["pairs"]]
    return bland_altman_png(panels, empty="No image has been read by two annotators yet.")


def _panel(pair: Mapping[str, Any]) -> PairedValues:
    first, other = pair["annotators"]
    enough = [row for row in pair["ef"] if row["n"] >= MIN_PAIRS]
    some = [row for row in pair["ef"] if row["n"]]
    best = next(iter(enough or some or pair["ef"]), {"method": "", "convention": ""})
    kind = best["method"], best["convention"]
    values = {
        patient["patient"]: row["ef_pct"]
        for patient in pair["patients"]
        for row in patient["ef"]
        if (row["method"], row["convention"]) == kind and row["ef_difference_pct"] is not None
    }
    return PairedValues(
        first=np.array([values_of[first] for values_of in values.values()], dtype=np.float64),
        second=np.array([values_of[other] for values_of in values.values()], dtype=np.float64),
        names=(first, other),
        cases=tuple(values),
        quantity=", ".join(("EF", *filter(None, kind))),
        value_unit="%",
        difference_unit="EF points",
        cases_name=CASES,
    )
