"""An evaluation's figures on the model's card and page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cardiolabel.errors import DatasetError
from cardiolabel.evaluation.card import judge_card
from cardiolabel.networks.registry import build
from cardiolabel.networks.weights import ModelCard, load_model, save_model

ARGUMENTS = {"out_channels": 2, "widths": [4, 6, 8]}
FOUND: dict[str, Any] = {
    "patients": 3,
    "images": 12,
    "selection": "split VAL",
    "splits": {"VAL": 3},
    "structures": {
        "lv_cavity": [
            {
                "group": "phase",
                "of": "ED",
                "metrics": {"dice": {"mean": 0.9512}, "hd95_mm": {"mean": None}, "msd_mm": {"mean": 1.4}},
            }
        ]
    },
    "agreement": [
        {
            "quantity": "ef_pct",
            "method": "biplane",
            "convention": "guideline",
            "n": 3,
            "r": 0.9,
            "r_interval": [0.8, 1.0],
            "mae": 3.25,
            "mae_interval": [2.0, 4.5],
            "bias": -0.5,
            "bias_interval": [None, None],
            "sd": None,
        }
    ],
    "validity": {"predicted": {"valid_share": 0.995}, "reference": {"valid_share": None}},
}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    card = ModelCard("tiny", "1", "unet", ARGUMENTS, "camus", trained_on="nobody", licence="none")
    save_model(build("unet", ARGUMENTS), card, folder=tmp_path)
    return tmp_path


def evaluated(folder: Path) -> Path:
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps(FOUND))
    return folder


def test_card_and_page_hold_the_figures_and_the_model_still_loads(weights: Path, tmp_path: Path) -> None:
    judge_card("tiny", weights, {"Held back": evaluated(tmp_path / "run")}, notes="For research.\n")
    _, card = load_model("tiny", weights)
    assert card.metrics["Held back"]["dice_lv_cavity_ED"] == 0.9512
    page = (weights / "tiny.md").read_text()
    assert "## Held back: 3 patients, 12 images" in page
    assert "| lv cavity | ED | 0.951 |  | 1.40 |" in page
    assert "| biplane, guideline | 3 | 0.900 | 3.25 (2.00 to 4.50) | -0.50 |  |" in page
    assert "Anatomically valid masks: predicted 99.5%." in page
    assert "For research." in page


def test_what_is_not_given_stays(weights: Path, tmp_path: Path) -> None:
    judge_card("tiny", weights, {"Held back": evaluated(tmp_path / "run")}, notes="For research.")
    assert judge_card("tiny", weights, {}) == judge_card("tiny", weights, {}, notes="For research.")
    assert "Held back" in judge_card("tiny", weights, {}).metrics


@pytest.mark.parametrize("content", [None, "{", "[]", '{"patients": 1}'])
def test_a_folder_without_an_evaluation(weights: Path, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "evaluation.json").write_text(content)
    before = (weights / "tiny.json").read_bytes()
    with pytest.raises(DatasetError, match="run cardiolabel evaluate"):
        judge_card("tiny", weights, {"Held back": tmp_path})
    assert (weights / "tiny.json").read_bytes() == before


def test_patients_trained_on_judge_no_card(weights: Path, tmp_path: Path) -> None:
    folder = evaluated(tmp_path / "run")
    (folder / "evaluation.json").write_text(json.dumps({**FOUND, "splits": {"TRAIN": 2, "VAL": 1}}))
    with pytest.raises(DatasetError, match="2 patients of TRAIN are among those judged"):
        judge_card("tiny", weights, {"All": folder})
    assert not (weights / "tiny.md").exists()


@pytest.mark.parametrize("content", ["[]", '{"splits": {}, "structures": []}', "{"])
def test_what_is_no_evaluation_is_refused(weights: Path, tmp_path: Path, content: str) -> None:
    folder = evaluated(tmp_path / "run")
    (folder / "evaluation.json").write_text(content)
    with pytest.raises(DatasetError, match="not an evaluation"):
        judge_card("tiny", weights, {"Held back": folder})
