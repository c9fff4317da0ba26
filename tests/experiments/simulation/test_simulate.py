"""A simulation on phantoms: what is chosen from, what is trained, and going on after an interruption."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cardiolabel.datasets.phantom import write_sample
from cardiolabel.errors import DatasetError
from cardiolabel.experiments.simulation import simulate as module
from cardiolabel.experiments.simulation.settings import Settings
from cardiolabel.experiments.simulation.simulate import FULL, simulate
from cardiolabel.training.training_recipe import TrainingRecipe

RECIPE = TrainingRecipe(
    name="camus",
    source="test",
    input="camus",
    network="unet",
    arguments={"widths": [4, 8, 16]},
    images=1,
    size_px=64,
    batch=8,
    learning_rate=1e-2,
    augmentation="none",
    selection=0,
)
ASKED = Settings(
    strategies=("random", "entropy", "ef_uncertainty", "hybrid"),
    budgets=(2, 4),
    seeds=(0,),
    images=48,
    size_px=64,
)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight phantoms with their true masks as labels, two of them held back."""
    folder = tmp_path_factory.mktemp("simulated") / "studies"
    write_sample(folder, patients=8, seed=2)
    (folder / "labels").mkdir(exist_ok=True)
    (folder / "truth").rename(folder / "labels" / "final")
    listed = folder / "manifest.csv"
    header, *rows = listed.read_text().splitlines()
    column = header.split(",").index("split")
    told = []
    for row in rows:
        cells = row.split(",")
        cells[column] = "VAL" if cells[1] in {"phantom07", "phantom08"} else "TRAIN"
        told.append(",".join(cells))
    listed.write_text("\n".join([header, *told]) + "\n")
    return folder


def test_strategies_share_their_start_and_never_select_test_patients(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.training_recipe, "read", lambda name: RECIPE)
    trained = []
    real = module.train

    def watched(recipe: TrainingRecipe, *values: Any, **more: Any) -> Any:
        trained.append((recipe.images, more["start"]))
        return real(recipe, *values, **more)

    monkeypatch.setattr(module, "train", watched)
    result = simulate("camus", studies, out=tmp_path / "out", settings=ASKED)
    assert [(each.strategy, each.patients) for each in result] == [
        *((name, budget) for name in ASKED.strategies for budget in (2, 4)),
        (FULL, 6),
    ]
    chosen = {(each.strategy, each.patients): set(each.chosen) for each in result}
    assert len({frozenset(chosen[name, 2]) for name in ASKED.strategies}) == 1
    assert all(chosen[name, 2] < chosen[name, 4] for name in ASKED.strategies)
    assert not any(each & {"phantom07", "phantom08"} for each in chosen.values())
    assert all(set(each.lv_dice) == {"phantom07", "phantom08"} for each in result)
    assert len(trained) == len({frozenset(each) for each in chosen.values()})
    first, *grown, everyone = trained
    assert first == (48, None) and everyone == (96, None)
    assert all(images == 48 and start is not None for images, start in grown)
    count = len(trained)
    assert simulate("camus", studies, out=tmp_path / "out", settings=ASKED) == result
    assert len(trained) == count
    with pytest.raises(DatasetError, match="started with other settings"):
        simulate("camus", studies, out=tmp_path / "out", settings=replace(ASKED, budgets=(2, 3)))


@pytest.mark.long
def test_strategies_may_choose_their_first_patients_and_see_some_of_the_others(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.training_recipe, "read", lambda name: RECIPE)
    requested = Settings(("random", "hybrid"), (2, 3), (0,), images=48, size_px=64, scored=2, own_start=True)
    result = simulate("camus", studies, out=tmp_path, settings=requested)
    first = {each.strategy: set(each.chosen) for each in result if each.patients == 2}
    assert first["random"] != first["hybrid"]
    seen = [json.loads(path.read_text()) for path in tmp_path.rglob("scores.json")]
    assert [len(scores) for scores in seen] == [2]
    assert all(each["entropy"] > 0 for each in seen[0].values())


def test_what_cannot_be_asked_for_is_refused(studies: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no strategy 'best'"):
        Settings(strategies=("best",))
    with pytest.raises(DatasetError, match="growing numbers"):
        Settings(budgets=(20, 10))
    with pytest.raises(DatasetError, match="a budget of 80 patients; there are 6"):
        simulate("camus", studies, out=tmp_path, settings=Settings())
