"""Rows of images that two annotators segmented, and their means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from cardiolabel.domain import Record
from cardiolabel.measurements.mask_agreement import StructureAgreement, compare_masks
from cardiolabel.measurements.records import MaskedImage
from cardiolabel.measurements.short_axis import is_short_axis
from cardiolabel.reporting.rounding import rounded


def image_row(image_id: str, record: Record | None, reason: str) -> dict[str, Any]:
    """Return an entry of ``images`` without a comparison; the record is None for an image that is gone."""
    return {
        "image_id": image_id,
        "patient": record.patient if record else None,
        "view": str(record.view) if record else None,
        "phase": str(record.phase) if record else None,
        "structures": {},
        "reason": reason,
    }


def structures_json(first: MaskedImage, other: MaskedImage, names: tuple[str, str]) -> dict[str, Any]:
    """Compare two masks of one image, structure by structure."""
    compared = compare_masks(
        first.masks,
        other.masks,
        labels=first.labels,
        spacing=first.spacing,
        stack=is_short_axis(first),
        names=names,
    )
    return {each.structure: _structure_json(each) for each in compared}


def structure_means(images: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means over images per structure, with the number of images."""
    names = dict.fromkeys(name for image in images for name in image["structures"])
    means = {}
    for name in names:
        rows = [image["structures"].get(name, {}) for image in images]
        dices, distances = (_known(row.get(key) for row in rows) for key in ("dice", "hd_mm"))
        missing = [
            f"no {what} in {len(images) - len(values)} of {len(images)} images"
            for what, values in (("Dice", dices), ("distance in mm", distances))
            if len(values) < len(images)
        ]
        means[name] = {
            "dice": _mean(dices),
            "dice_images": len(dices),
            "hd_mm": _mean(distances),
            "hd_images": len(distances),
            "reason": "; ".join(missing),
        }
    return means


def _structure_json(agreement: StructureAgreement) -> dict[str, Any]:
    return {
        "dice": rounded(agreement.dice),
        "hd_mm": rounded(agreement.hd_mm),
        "worst_hd_mm": rounded(agreement.worst_hd_mm),
        "worst_frame": agreement.worst_frame,
        "frames": agreement.frames,
        "shared_frames": agreement.shared_frames,
        "reasons": list(agreement.reasons),
    }


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: list[float]) -> float | None:
    return rounded(float(np.mean(values))) if values else None
