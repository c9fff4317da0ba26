"""A patient's scores as JSON-safe values, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiolabel.active_learning.patient_score import ImageScore, PatientScore
from cardiolabel.inference.predictor import UsedModel
from cardiolabel.uncertainty.ef_intervals import with_intervals
from cardiolabel.uncertainty.half_precision_text import packed, unpacked

Score = dict[str, Any]


def score_json(score: PatientScore, used: UsedModel, intervals: Mapping[str, Mapping[str, Any]]) -> Score:
    """Return a patient's scores as JSON-safe values.

    ``ef`` has rows of method, convention, EF, interval and spread, the most trusted method first; ``shares``
    the images' shares in the variance of the first; ``images`` the scores of each image; ``embedding`` the
    mean of the images'.
    """
    best = score.best()
    predicted = [image.image_id for image in score.images if image.entropy is not None]
    spreads = {way: draws.spread_pct for way, draws in score.draws.items()}
    study = with_intervals(score.study, intervals, predicted=predicted, spreads_pct=spreads)
    rows = {(row.method, row.convention): row for row in study.rows}
    return {
        "model": used.as_dict(),
        "ef": [
            {
                "method": str(way[0]),
                "convention": str(way[1]),
                "ef_pct": _rounded(rows[way].ef_pct, 2),
                "ef_low_pct": _rounded(rows[way].ef_low_pct, 2),
                "ef_high_pct": _rounded(rows[way].ef_high_pct, 2),
                "spread_pct": round(spread, 3),
            }
            for way, spread in spreads.items()
        ],
        "shares": {image: round(share, 3) for image, share in best[1].share.items()} if best else {},
        "reason": score.reason,
        "images": {image.image_id: _image_json(image) for image in score.images},
        "embedding": packed(np.mean([image.embedding for image in score.images], axis=0)),
    }


def unscorable_json(reason: str, used: UsedModel) -> Score:
    """Return the scores of a patient without a usable image."""
    return {
        "model": used.as_dict(),
        "ef": [],
        "shares": {},
        "reason": reason,
        "images": {},
        "embedding": None,
    }


def unreadable_json() -> dict[str, Any]:
    """Return the scores of an image that cannot be read."""
    return {"entropy": None, "disagreement": None, "expected_dice": None, "flags": ["unreadable"]}


def entropy_of(score: Score) -> float | None:
    """Return the mean entropy of the images without a person's mask."""
    entropies = [image["entropy"] for image in score["images"].values() if image["entropy"] is not None]
    return float(np.mean(entropies)) if entropies else None


def embedding_of(score: Score) -> NDArray[np.float32] | None:
    """Return the mean embedding; None for a patient that could not be scored."""
    return unpacked(score["embedding"]) if score["embedding"] else None


def _image_json(image: ImageScore) -> dict[str, Any]:
    return {
        "entropy": _rounded(image.entropy, 4),
        "disagreement": _rounded(image.disagreement, 4),
        "expected_dice": _rounded(image.expected_dice, 4),
        "flags": list(image.flags),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
