"""Files of an evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cardiolabel.domain import Record
from cardiolabel.evaluation.evaluate import Evaluation
from cardiolabel.evaluation.metrics import DISTANCES, OVERLAPS
from cardiolabel.evaluation.patients import FIGURES, INTERVALS, QUANTITIES, ef_panels
from cardiolabel.evaluation.report import PLOT, report_markdown
from cardiolabel.io.files import atomic
from cardiolabel.reporting.bland_altman import bland_altman_png
from cardiolabel.reporting.rounding import rounded
from cardiolabel.reporting.tables import write_table

_RECORD = ("image_id", "patient", "dataset", "split", "view", "phase", "image_quality")
_PLANES = ("predicted_planes", "reference_planes", "shared_planes")
_REASONS = ("overlap_reason", "distance_reason")

IMAGE_COLUMNS = (*_RECORD, "structure", *OVERLAPS, *DISTANCES, *_PLANES, *_REASONS)
PATIENT_COLUMNS = (
    "patient",
    "method",
    "convention",
    *(f"{side}_{name}" for name in QUANTITIES for side in ("predicted", "reference")),
    "ef_difference_pct",
    "predicted_quality",
    "reference_quality",
    "predicted_reason",
    "reference_reason",
)
VALIDITY_COLUMNS = (*_RECORD, "side", "frame", "valid", "findings")
SUMMARY_COLUMNS = ("structure", "group", "of", "metric", "images", "n", "mean", "sd", "median", "worst")
AGREEMENT_COLUMNS = (
    "method",
    "convention",
    "quantity",
    "unit",
    "n",
    *FIGURES,
    *(f"{name}_{end}" for name in INTERVALS for end in ("low", "high")),
    "reason",
)


def write_evaluation(evaluation: Evaluation, folder: Path) -> dict[str, Any]:
    """Write tables, report and plot, each file whole or not at all.

    ``images.csv`` has a row per image and structure, ``validity.csv`` per mask, ``patients.csv`` per patient,
    method and convention, ``summary.csv`` per structure, group and metric, ``agreement.csv`` per method,
    convention and quantity. ``report.md`` and ``bland_altman.png`` are for people, ``evaluation.json`` is for
    programs. A value that could not be measured is an empty cell.

    Parameters
    ----------
    evaluation : Evaluation
    folder : Path
        Created where missing.

    Returns
    -------
    dict
        The summary, as `Evaluation.as_json` gives it.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    summary = evaluation.as_json()
    write_table(folder / "images.csv", IMAGE_COLUMNS, _image_rows(evaluation))
    write_table(folder / "patients.csv", PATIENT_COLUMNS, _patient_rows(evaluation))
    write_table(folder / "validity.csv", VALIDITY_COLUMNS, _validity_rows(evaluation))
    write_table(folder / "summary.csv", SUMMARY_COLUMNS, _summary_rows(summary))
    write_table(folder / "agreement.csv", AGREEMENT_COLUMNS, _agreement_rows(summary))
    with atomic(folder / PLOT) as draft:
        empty = "No patient has an EF on both sides."
        draft.write_bytes(bland_altman_png(ef_panels(evaluation.pairs), empty=empty))
    with atomic(folder / "evaluation.json") as draft:
        draft.write_text(json.dumps(summary, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with atomic(folder / "report.md") as draft:
        draft.write_text(report_markdown(summary), encoding="utf-8")
    return summary


def _image_rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    for row in evaluation.scores:
        plain = {name: getattr(row.score, name) for name in ("structure", *_PLANES, *_REASONS)}
        numbers = {name: rounded(getattr(row.score, name)) for name in (*OVERLAPS, *DISTANCES)}
        yield {**_record(row.record), **plain, **numbers}


def _patient_rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    for row in evaluation.pairs:
        both = row.both("ef_pct")
        yield {
            "patient": row.reference.patient,
            "method": str(row.reference.method),
            "convention": str(row.reference.convention),
            **{f"predicted_{name}": rounded(getattr(row.predicted, name)) for name in QUANTITIES},
            **{f"reference_{name}": rounded(getattr(row.reference, name)) for name in QUANTITIES},
            "ef_difference_pct": rounded(both[0] - both[1]) if both else None,
            "predicted_quality": ";".join(str(flag) for flag in row.predicted.quality),
            "reference_quality": ";".join(str(flag) for flag in row.reference.quality),
            "predicted_reason": row.predicted.reason,
            "reference_reason": row.reference.reason,
        }


def _validity_rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    for row in evaluation.validity:
        yield {
            **_record(row.record),
            "side": str(row.side),
            "frame": row.frame,
            "valid": "no" if row.findings else "yes",
            "findings": ";".join(str(finding) for finding in row.findings),
        }


def _summary_rows(summary: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for structure, groups in summary["structures"].items():
        for group in groups:
            head = {"structure": structure, **{name: group[name] for name in ("group", "of", "images")}}
            for metric, values in group["metrics"].items():
                yield {**head, "metric": metric, **values}


def _agreement_rows(summary: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for row in summary["agreement"]:
        ends = {
            f"{name}_{end}": row[name][at] if row[name] else None
            for name in INTERVALS
            for at, end in enumerate(("low", "high"))
        }
        yield {name: value for name, value in {**row, **ends}.items() if name in AGREEMENT_COLUMNS}


def _record(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in _RECORD}
