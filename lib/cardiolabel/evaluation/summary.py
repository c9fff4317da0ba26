"""Rows of single images counted together: by view, phase, image quality and in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cardiolabel.domain import Method, Record
from cardiolabel.evaluation.images import Compared, ScoreRow, Side, ValidityRow
from cardiolabel.evaluation.metrics import DISTANCES, OVERLAPS
from cardiolabel.reporting.rounding import rounded

NOT_GIVEN = "not given"

NOT_DRAWN = "left out: the dataset's references do not draw it there"
IN_NO_REFERENCE = "left out: no reference mask has it"
NOT_SEGMENTED = "left out: the model does not segment it"
NEVER_PREDICTED = "no predicted mask has it: its Dice is 0"

_GROUPS: dict[str, Callable[[Record], str]] = {
    "all": lambda record: "",
    "dataset": lambda record: record.dataset,
    "view": lambda record: str(record.view),
    "phase": lambda record: str(record.phase),
    "image_quality": lambda record: record.image_quality or NOT_GIVEN,
}
_OPTIONAL = ("dataset", "image_quality")
_QUALITIES = ("good", "medium", "poor")


def compared_structures(
    images: Sequence[Compared], segmented: Collection[str] | None = None
) -> tuple[tuple[ScoreRow, ...], tuple[dict[str, Any], ...]]:
    """Leave out structures that no reference of a dataset has, and name those that no prediction has.

    Parameters
    ----------
    images : sequence of Compared
    segmented : collection of str, optional
        Structures that the model is for; others are left out. None where that is not known.

    Returns
    -------
    rows : tuple of ScoreRow
        Of structures that a reference of the same dataset has.
    remarks : tuple of dict
        ``dataset, structure, images, reason``: what was left out, how often, and why; and structures never
        predicted, which stay in with a Dice of 0.
    """
    kinds: dict[tuple[str, str], list[ScoreRow]] = {}
    for image in images:
        for row in image.scores:
            kinds.setdefault((image.record.dataset, row.score.structure), []).append(row)
    remarks = Counter(
        (image.record.dataset, structure, NOT_DRAWN) for image in images for structure in image.not_drawn
    )
    comparable: list[ScoreRow] = []
    for (dataset, structure), rows in kinds.items():
        if segmented is not None and structure not in segmented:
            remarks[dataset, structure, NOT_SEGMENTED] = _images(rows)
            continue
        in_reference = any(row.score.reference_planes for row in rows)
        if in_reference:
            comparable += rows
        if not (in_reference and any(row.score.predicted_planes for row in rows)):
            reason = NEVER_PREDICTED if in_reference else IN_NO_REFERENCE
            remarks[dataset, structure, reason] = _images(rows)
    return tuple(comparable), tuple(
        {"dataset": dataset, "structure": structure, "images": count, "reason": reason}
        for (dataset, structure, reason), count in remarks.items()
    )


def structures_json(rows: Sequence[ScoreRow]) -> dict[str, list[dict[str, Any]]]:
    """Return every metric of every structure, over images.

    Returns
    -------
    dict
        By structure a list of groups: ``group`` (all, dataset, view, phase, image_quality) and ``of``
        (which), ``images``, ``rows`` (the same, but a cine counts for each phase), ``patients``,
        ``planes`` (frames or slices in which the predicted, the reference and both masks have the
        structure), ``metrics`` (by name ``n``, ``mean``, ``sd``, ``median`` and ``worst`` of the rows that
        could be measured) and ``not_measured`` (reasons and how many rows they cost, for ``overlap`` and
        ``distance``).
    """
    structures: dict[str, list[dict[str, Any]]] = {}
    for structure in dict.fromkeys(row.score.structure for row in rows):
        own = [row for row in rows if row.score.structure == structure]
        groups = structures.setdefault(structure, [])
        for group, key in _GROUPS.items():
            keys = sorted({key(row.record) for row in own}, key=_place)
            if len(keys) == 1 and group in _OPTIONAL:
                continue  # it would say again what "all" says
            groups += [_group(group, of, [row for row in own if key(row.record) == of]) for of in keys]
    return structures


def validity_json(rows: Sequence[ValidityRow]) -> dict[str, dict[str, Any]]:
    """Return how many masks of each side are anatomically valid.

    Returns
    -------
    dict
        By side: ``masks`` (frames, or stacks), ``valid``, ``valid_share``, ``faults`` (by fault and
        structure, how many masks have it) and ``invalid`` (image, frame from 0, its findings).
    """
    return {str(side): _side([row for row in rows if row.side is side]) for side in Side}


def card_metrics(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures that a model's card carries, out of an evaluation.

    Parameters
    ----------
    found : mapping
        As `cardiolabel.evaluation.evaluate.Evaluation.as_json` gives it.

    Returns
    -------
    dict
        ``patients, images, selection``; mean ``dice_<structure>_<phase>``, ``hd95_mm_…`` and ``msd_mm_…``;
        agreement of the EF by biplane and slice summation, ``<method>_ef_<convention>_pct``;
        ``valid_share``.
    """
    metrics: dict[str, Any] = {name: summary[name] for name in ("patients", "images", "selection")}
    for metric in ("dice", "hd95_mm", "msd_mm"):
        for structure, groups in summary["structures"].items():
            for group in groups:
                if group["group"] == "phase":
                    metrics[f"{metric}_{structure}_{group['of']}"] = group["metrics"][metric]["mean"]
    for row in summary["agreement"]:
        if row["quantity"] == "ef_pct" and row["method"] in (Method.BIPLANE, Method.SLICE_SUMMATION):
            name = f"{row['method'].replace('-', '_')}_ef_{row['convention']}_pct"
            columns = ("n", "r", "r_interval", "mae", "mae_interval", "bias", "bias_interval", "sd")
            metrics[name] = {key: row[key] for key in columns}
    metrics["valid_share"] = {side: of_side["valid_share"] for side, of_side in summary["validity"].items()}
    return metrics


def _place(name: str) -> tuple[int, str]:
    """Order of a group's names: qualities from good to poor, what is not given last."""
    if name == NOT_GIVEN:
        return len(_QUALITIES) + 1, name
    is_quality = name.casefold() in _QUALITIES
    return (_QUALITIES.index(name.casefold()) if is_quality else len(_QUALITIES)), name


def _images(rows: Sequence[ScoreRow]) -> int:
    return len({row.record.image_id for row in rows})


def _group(group: str, of: str, rows: Sequence[ScoreRow]) -> dict[str, Any]:
    return {
        "group": group,
        "of": of,
        "images": _images(rows),
        "rows": len(rows),
        "patients": len({row.record.patient for row in rows}),
        "planes": {
            name: sum(getattr(row.score, f"{name}_planes") for row in rows)
            for name in ("predicted", "reference", "shared")
        },
        "metrics": {
            name: _statistics([getattr(row.score, name) for row in rows], worst=worst)
            for names, worst in ((OVERLAPS, min), (DISTANCES, max))
            for name in names
        },
        "not_measured": {
            "overlap": _counted(row.score.overlap_reason for row in rows),
            "distance": _counted(row.score.distance_reason for row in rows),
        },
    }


def _statistics(
    values: Sequence[float | None], *, worst: Callable[[Iterable[float]], float]
) -> dict[str, Any]:
    measured = [value for value in values if value is not None]
    if not measured:
        return {"n": 0, **dict.fromkeys(("mean", "sd", "median", "worst"))}
    return {
        "n": len(measured),
        "mean": rounded(float(np.mean(measured))),
        "sd": rounded(float(np.std(measured, ddof=1))) if len(measured) > 1 else None,
        "median": rounded(float(np.median(measured))),
        "worst": rounded(worst(measured)),
    }


def _counted(reasons: Iterable[str]) -> dict[str, int]:
    return dict(Counter(reason for reason in reasons if reason))


def _side(rows: Sequence[ValidityRow]) -> dict[str, Any]:
    valid = sum(not row.findings for row in rows)
    faults = Counter(
        name for row in rows for name in {f"{finding.fault}:{finding.structure}" for finding in row.findings}
    )
    return {
        "masks": len(rows),
        "valid": valid,
        "valid_share": rounded(valid / len(rows)) if rows else None,
        "faults": dict(sorted(faults.items())),
        "invalid": [
            {
                "image_id": row.record.image_id,
                "frame": row.frame,
                "findings": [str(finding) for finding in row.findings],
            }
            for row in rows
            if row.findings
        ],
    }
