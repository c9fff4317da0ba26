"""Results of evaluations on a model's card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cardiolabel.errors import DatasetError
from cardiolabel.evaluation.summary import card_metrics
from cardiolabel.io.files import atomic
from cardiolabel.networks.weights import ModelCard, read_card, write_card
from cardiolabel.reporting.model_card import model_card_markdown


def judge_card(name: str, weights: Path, evaluations: Mapping[str, Path], *, notes: str = "") -> ModelCard:
    """Add evaluations to a model's card, and write its page ``<name>.md``.

    Parameters
    ----------
    name : str
        The model.
    weights : Path
        Its folder.
    evaluations : mapping of str to Path
        What each was judged on, in words, and the folder that ``cardiolabel evaluate`` wrote. They take the
        place of those on the card; without any, those stay.
    notes : str
        Markdown for the card: what the model is for, whose data it learned from. Empty keeps what is there.

    Raises
    ------
    MissingWeightsError, CorruptWeightsError
        As `read_card`.
    DatasetError
        A folder holds no evaluation, or one with patients of the official split's TRAIN.
    OSError
        The folder cannot be written.
    """
    card = read_card(name, weights)
    metrics = {what: _metrics(folder) for what, folder in evaluations.items()} or card.metrics
    card = replace(card, metrics=metrics, notes=notes.strip() or card.notes)
    write_card(card, folder=weights)
    with atomic(weights / f"{name}.md") as draft:
        draft.write_text(model_card_markdown(card.as_dict()), encoding="utf-8")
    return card


def _metrics(folder: Path) -> dict[str, object]:
    path = folder / "evaluation.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        learned_from = summary["splits"].get("TRAIN", 0)
        metrics = card_metrics(summary)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path}: not an evaluation ({error}); run cardiolabel evaluate") from error
    if learned_from:
        raise DatasetError(
            f"{path}: {learned_from} patients of TRAIN are among those judged; a card takes patients never "
            "trained on: run cardiolabel evaluate with --split or --patients"
        )
    return metrics
