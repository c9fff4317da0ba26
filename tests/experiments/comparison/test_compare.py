"""Recipes compared on phantoms: one table; what is done is kept, what is broken costs its row."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from cardiolabel.cli import app
from cardiolabel.datasets.phantom import make_study
from cardiolabel.domain import Record, Spacing
from cardiolabel.errors import DatasetError
from cardiolabel.experiments.comparison import compare as comparing
from cardiolabel.experiments.comparison.compare import compare
from cardiolabel.experiments.comparison.figure import speed_figure
from cardiolabel.experiments.comparison.files import write_comparison
from cardiolabel.experiments.comparison.outcome import Outcome, quality
from cardiolabel.experiments.comparison.timing import time_networks
from cardiolabel.io import nifti
from cardiolabel.records import manifest

SPACING = Spacing(row_mm=1.0, col_mm=1.15)
TINY = """
source = "test, github.com/nobody/{name}"
input = "camus"
size_px = {size}
network = "unet"
arguments = {{ widths = [4, 8, 16] }}
learning_rate = 1e-2
images = 7
batch = 4
"""


def write_recipe(folder: Path, name: str, *, size: int = 64, more: str = "") -> str:
    path = folder / f"{name}.toml"
    path.write_text(TINY.format(name=name, size=size) + more)
    return str(path)


def write_studies(folder: Path, *, held_back: int) -> Path:
    """Six phantoms, stills only."""
    records = []
    for number in range(6):
        study = make_study(f"p{number}", seed=number, shape=(140, 150), spacing=SPACING, cine=False)
        for image in study.images:
            path = folder / f"{image.image_id}.nii.gz"
            nifti.write_clip(image.clip, path)
            nifti.write_mask(image.masks, folder / "labels" / "final" / path.name, spacing=SPACING)
            part = "VAL" if number < held_back else "TRAIN"
            name = (image.image_id, f"p{number}", image.view, image.phase, "phantom", path)
            records.append(Record(*name, split=part))
    manifest.write(records, folder)
    return folder


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_studies(tmp_path_factory.mktemp("compare") / "studies", held_back=3)


@pytest.fixture(scope="module")
def unsplit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_studies(tmp_path_factory.mktemp("compare") / "unsplit", held_back=0)


def table(out: Path) -> dict[str, Mapping[str, str]]:
    with (out / "comparison.csv").open(newline="", encoding="utf-8") as file:
        return {row["recipe"]: row for row in csv.DictReader(file)}


def run(studies: Path, out: Path, recipes: list[str], *more: object) -> str:
    arguments = ["compare", studies, "--out", out, "--recipes", ",".join(recipes), "--images", 120, *more]
    result = CliRunner().invoke(app, [str(each) for each in (*arguments, "--repeats", 2)])
    assert result.exit_code == 0, result.output
    return result.stderr


def test_two_recipes_and_a_broken_one_make_a_table(studies: Path, tmp_path: Path) -> None:
    recipes = [write_recipe(tmp_path, "small"), write_recipe(tmp_path, "broken", more="epochs = 3")]
    recipes += [write_recipe(tmp_path, "odd", size=62), write_recipe(tmp_path, "smaller", size=48)]
    out = tmp_path / "out"
    text = run(studies, out, recipes)
    rows = table(out)
    assert list(rows) == ["small", "broken", "odd", "smaller"]

    for name, size in (("small", "64"), ("smaller", "48")):
        row = rows[name]
        assert (row["network"], row["input_px"], row["images"], row["reason"]) == ("unet", size, "120", "")
        assert row["source"] == f"test, github.com/nobody/{name}"
        for structure in ("lv_cavity", "myocardium", "left_atrium", "epicardium"):
            for phase in ("ED", "ES"):
                assert 0 <= float(row[f"dice_{structure}_{phase}"]) <= 1
        assert float(row["parameters_m"]) > 0
        assert float(row["ms_per_frame"]) > 0
        assert float(row["ratio"]) < 1  # the reference is larger in every way
        assert not (out / name / "checkpoint.pt").exists()
        assert len(list((out / name / "labels").glob("*.nii.gz"))) == 12
        assert (out / name / "evaluation" / "report.md").is_file()
    assert float(rows["small"]["dice_lv_cavity_ED"]) > 0.3

    assert "'epochs' is no field of a recipe" in rows["broken"]["reason"] and "'epochs'" in text
    assert rows["odd"]["reason"] and rows["odd"]["dice_lv_cavity_ED"] == rows["odd"]["ms_per_frame"] == ""
    page = (out / "comparison.md").read_text()
    assert "same 3 patients" in page and "same 3 others" in page
    assert "- broken: " in page and "- small: test, github.com/nobody/small" in page
    assert (out / "comparison.png").read_bytes().startswith(b"\x89PNG")
    splits = {(out / name / "split.json").read_text() for name in ("small", "smaller")}
    assert splits == {(out / "split.json").read_text()}


def test_a_rerun_skips_what_is_done_and_shares_the_images(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    train = comparing.train

    def spy(recipe: object, *values: object, **named: object) -> object:
        trained.append(recipe.name)  # type: ignore[attr-defined]
        return train(recipe, *values, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(comparing, "train", spy)
    out, each, other = tmp_path / "out", write_recipe(tmp_path, "one"), write_recipe(tmp_path, "other")
    seen: list[tuple[int, int]] = []
    first = compare([each], studies, out=out, images=8, repeats=1)
    both = compare(
        [each, other],
        studies,
        out=out,
        images=8,
        repeats=1,
        on_progress=lambda done, total, what: seen.append((done, total)),
    )
    assert trained == ["one", "other"]
    assert len(list((out / "samples").glob("samples-*.pt"))) == 2  # those to train on, those to select by
    assert replace(both.outcomes[0], ms_per_frame=None, ratio=None) == replace(
        first.outcomes[0], ms_per_frame=None, ratio=None
    )
    assert seen == sorted(seen) and seen[-1] == (16, 16)

    with pytest.raises(DatasetError, match="recipe one was started with other settings"):
        compare([each, other], studies, out=out, images=16, repeats=1)
    assert trained == ["one", "other"]


def test_an_interrupted_comparison_goes_on(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, out = write_recipe(tmp_path, "one"), tmp_path / "out"

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(comparing, "evaluate", full)
        with pytest.raises(OSError, match="No space left"):
            compare([recipe], studies, out=out, images=8, repeats=1)
    assert (out / "one" / "checkpoint.pt").exists()
    result = compare([recipe], studies, out=out, images=8, repeats=1)
    assert result.outcomes[0].reason == "" and result.outcomes[0].images == 8


def test_large_inputs_can_be_shrunk_and_are_timed_as_they_are(studies: Path, tmp_path: Path) -> None:
    recipes = [write_recipe(tmp_path, "large", size=96), write_recipe(tmp_path, "small", size=48)]
    fixed = TINY.format(name="fixed", size=96).replace('"camus"', '"sax"')
    (tmp_path / "fixed.toml").write_text(fixed)
    out = tmp_path / "out"
    run(studies, out, [*recipes, str(tmp_path / "fixed.toml")], "--at-most-px", 64)
    rows = table(out)
    assert [(rows[name]["input_px"], rows[name]["timed_px"]) for name in ("large", "small")] == [
        ("64", "96"),
        ("48", "48"),
    ]
    assert "fixed size" in rows["fixed"]["reason"]
    with pytest.raises(DatasetError, match="large was started with other settings"):
        compare([recipes[0]], studies, out=out, images=120, repeats=1)


def test_patients_to_judge_by_can_be_listed(unsplit: Path, tmp_path: Path) -> None:
    recipe, listed = write_recipe(tmp_path, "one"), tmp_path / "patients.txt"
    listed.write_text("p1, p4\n")
    result = compare([recipe], unsplit, out=tmp_path / "out", images=8, patients=listed, repeats=1)
    assert (result.trained, result.judged) == (4, 2)
    masks = {path.name.split("_")[0] for path in (tmp_path / "out" / "one" / "labels").iterdir()}
    assert masks == {"p1", "p4"}
    assert result.outcomes[0].ef_mae is None  # two patients are too few

    listed.write_text("p1")
    with pytest.raises(DatasetError, match="started on other patients"):
        compare([recipe], unsplit, out=tmp_path / "out", images=8, patients=listed, repeats=1)


def test_a_simulation_without_test_patients_is_refused(unsplit: Path, tmp_path: Path) -> None:
    arguments = ["compare", unsplit, "--out", tmp_path / "out", "--recipes", "camus", "--images", 8]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 2
    assert "no patient to judge by" in result.stderr and "--patients" in result.stderr
    assert not (tmp_path / "out").exists()


def test_recipes_are_named_once(studies: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "one")
    with pytest.raises(DatasetError, match="one is given twice"):
        compare([recipe, "one"], studies, out=tmp_path / "out", images=8)
    with pytest.raises(DatasetError, match="no recipe is given"):
        compare([], studies, out=tmp_path / "out", images=8)


def test_nothing_but_broken_recipes_is_an_error(studies: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "broken", more="epochs = 3")
    arguments = ["compare", studies, "--out", tmp_path / "out", "--recipes", recipe, "--images", 8]
    result = CliRunner().invoke(app, [str(each) for each in (*arguments, "--repeats", 1)])
    assert result.exit_code == 2 and "no recipe could be compared" in result.stderr
    assert not (tmp_path / "out" / "comparison.csv").exists()


def test_networks_are_timed_in_turns() -> None:
    order: list[str] = []

    class Noted(torch.nn.Conv2d):
        def __init__(self, name: str) -> None:
            super().__init__(1, 1, 1)
            self.name = name

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            order.append(self.name)
            return super().forward(images)

    taken = time_networks({"a": (Noted("a"), 8), "b": (Noted("b"), 16)}, repeats=3)
    assert order == ["a", "b"] * 4
    assert taken.keys() == {"a", "b"} and min(taken.values()) > 0


def test_the_ef_is_that_of_the_guideline_by_the_most_trusted_method() -> None:
    def row(method: str, convention: str, mae: float | None, quantity: str = "ef_pct") -> dict[str, object]:
        named = {"method": method, "convention": convention, "quantity": quantity}
        return {**named, "mae": mae, "bias": 1.0, "n": 9}

    def group(group: str, of: str, mean: float | None) -> dict[str, object]:
        return {"group": group, "of": of, "metrics": {"dice": {"mean": mean}}}

    groups = [group("all", "", 0.9), group("phase", "ED", 0.8), group("phase", "ES", None)]
    result = quality(
        {
            "structures": {"lv_cavity": groups},
            "agreement": [
                row("biplane", "guideline", 3.0, "edv_ml"),
                row("biplane", "camus", 4.0),
                row("biplane", "guideline", None),
                row("single-plane-A4C", "guideline", 6.0),
            ],
        }
    )
    ef = {"ef_method": "single-plane-A4C", "ef_n": 9, "ef_mae": 6.0, "ef_bias": 1.0}
    assert result == {"dice": {"lv_cavity_ED": 0.8}, **ef}


def test_many_equal_recipes_can_be_named() -> None:
    dice = {"lv_cavity_ED": 0.9, "lv_cavity_ES": 0.9}
    same = [Outcome(f"recipe{number}", ms_per_frame=20.0, dice=dice) for number in range(60)]
    assert speed_figure(same).startswith(b"\x89PNG")


def test_a_picture_without_recipes_says_so(tmp_path: Path) -> None:
    assert speed_figure([Outcome("one", reason="broken")]).startswith(b"\x89PNG")
    result = comparing.Comparison((Outcome("one", reason="a | b"),), trained=1, judged=1, threads=1)
    write_comparison(result, tmp_path)
    assert table(tmp_path)["one"]["reason"] == "a | b"


def test_names_that_a_list_would_cut_are_refused_before_any_training(tmp_path: Path) -> None:
    studies = write_studies(tmp_path / "studies", held_back=2)
    records = [replace(each, patient=each.patient.replace("p", "Doe, p")) for each in manifest.read(studies)]
    manifest.write(records, studies)
    with pytest.raises(DatasetError, match="holds a blank, comma"):
        compare([write_recipe(tmp_path, "one")], studies, out=tmp_path / "out", images=8, repeats=1)
    assert not (tmp_path / "out" / "one").exists()
