"""A run from a studies folder to a model that predicts, and what stops it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cardiolabel.datasets.phantom import write_sample
from cardiolabel.domain import Phase, Record, Spacing, Stack, View
from cardiolabel.errors import DatasetError
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io import nifti
from cardiolabel.networks.weights import load_model
from cardiolabel.preprocessing.recipes import CAMUS, SAX
from cardiolabel.records import manifest
from cardiolabel.training import samples
from cardiolabel.training.class_target import ClassTarget
from cardiolabel.training.train import Trained, train
from cardiolabel.training.training_recipe import TrainingRecipe

RECIPE = TrainingRecipe(
    name="tiny",
    source="test",
    input="camus",
    network="unet",
    arguments={"widths": [4, 8, 16]},
    images=24,
    selection=0.3,
)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train") / "studies"
    write_sample(folder, patients=4, seed=2)
    shutil.copytree(folder / "truth", folder / "labels" / "final")
    return folder


def records(folder: Path, held_back: str = "") -> list[Record]:
    """Stills only: the phantoms' cines are long."""
    return [
        replace(each, split="VAL" if each.patient == held_back else None)
        for each in manifest.scan(folder)
        if "cine" not in each.image_id
    ]


def run(folder: Path, out: Path, found: list[Record], recipe: TrainingRecipe = RECIPE) -> Trained:
    return train(
        recipe,
        found,
        folder / "labels" / "final",
        out=out,
        version="7",
        trained_on="phantoms",
        licence="none",
    )


def test_a_run_leaves_a_model_that_predicts(phantoms: Path, tmp_path: Path) -> None:
    done = run(phantoms, tmp_path / "run", records(phantoms, held_back="phantom02"))
    assert done.split.held_back == ("phantom02",)
    parts = {*done.split.training, *done.split.selection}
    assert parts == {record.patient for record in records(phantoms)} - {"phantom02"}
    assert done.card.trained_on.startswith(f"phantoms: {len(done.split.training)} patients, ")
    assert (done.card.version, done.card.settings["images"]) == ("7", 24)
    assert done.state.best_dice is not None
    predictor = Predictor.load("tiny", tmp_path / "run")
    clip = nifti.read(phantoms / "phantom01_4CH_ED.nii.gz").clip
    assert predictor.predict(clip).shape == clip.shape
    assert list((tmp_path / "run" / "tensorboard").iterdir())

    again = run(phantoms, tmp_path / "run", records(phantoms, held_back="phantom02"))
    assert again.card.sha256 == done.card.sha256


def test_images_are_recognised_in_another_process(phantoms: Path, tmp_path: Path) -> None:
    """Else no run could go on after a kill: each process orders sets in its own way."""
    code = """
import sys
from pathlib import Path
from cardiolabel.records import manifest
from cardiolabel.preprocessing.recipes import CAMUS
from cardiolabel.training import samples
from cardiolabel.training.class_target import ClassTarget
studies, cache = map(Path, sys.argv[1:])
records = [one for one in manifest.scan(studies) if one.image_id == "phantom01_4CH_ED"]
print(samples.load(records, studies / "labels" / "final", recipe=CAMUS, cache=cache).key)
"""
    told = {
        subprocess.run(
            [sys.executable, "-c", code, str(phantoms), str(tmp_path)],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1 and len(list(tmp_path.glob("samples-*.pt"))) == 1


def test_a_run_may_begin_with_a_model(phantoms: Path, tmp_path: Path) -> None:
    first = run(phantoms, tmp_path / "first", records(phantoms))
    still = replace(RECIPE, images=12, learning_rate=1e-12, warmup=0)

    def begin(recipe: TrainingRecipe, out: str) -> Trained:
        return train(
            recipe,
            records(phantoms),
            phantoms / "labels" / "final",
            out=tmp_path / out,
            version="8",
            trained_on="phantoms",
            licence="none",
            start=tmp_path / "first",
        )

    again = begin(still, "second")
    assert again.card.settings["start"] == f"tiny 7, sha256 {first.card.sha256[:12]}"
    before, _ = load_model("tiny", tmp_path / "first")
    after, _ = load_model("tiny", tmp_path / "second")
    for each, other in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(each, other, atol=1e-3, rtol=1e-3)
    with pytest.raises(DatasetError, match="of other sizes"):
        begin(replace(still, arguments={"widths": [4, 8, 8]}), "third")


def test_a_run_on_other_patients_needs_another_folder(phantoms: Path, tmp_path: Path) -> None:
    run(phantoms, tmp_path / "run", records(phantoms))
    with pytest.raises(DatasetError, match="started on other patients"):
        run(phantoms, tmp_path / "run", records(phantoms, held_back="phantom01"))


def test_a_folder_without_training_data_is_reported(phantoms: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no masks of SAX images"):
        run(phantoms, tmp_path / "run", records(phantoms), replace(RECIPE, input="sax"))


def test_of_a_cine_only_labelled_frames_are_taken_and_a_broken_mask_costs_itself(
    phantoms: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    cine = next(each for each in manifest.scan(phantoms) if "cine" in each.image_id)
    still = next(each for each in manifest.scan(phantoms) if "cine" not in each.image_id)
    grid = nifti.read(cine.path).grid
    masks = np.zeros(grid.frames_shape, dtype=np.uint8)
    masks[[2, 5], 40:60, 40:60] = 1
    masks[[2, 5], 60:64, 40:60] = 2
    masks[7, 40:60, 40:60] = 1  # without its myocardium
    nifti.write_mask_like(masks, labels / f"{cine.image_id}.nii.gz", grid=grid)
    (labels / f"{still.image_id}.nii.gz").write_text("no mask")
    result = samples.load([cine, still], labels, recipe=CAMUS, cache=tmp_path)
    assert len(result) == 2
    assert [image_id for image_id, _ in result.skipped] == [still.image_id]
    stored = samples.load([cine, still], labels, recipe=CAMUS, cache=tmp_path)
    assert stored.images.equal(result.images) and stored.skipped == result.skipped
    more = samples.load([cine, still], labels, recipe=CAMUS, cache=tmp_path, cavity_only=True)
    assert len(more) == 3 and more.classes[:2].equal(result.classes)
    assert set(more.classes[2].unique().tolist()) == {1, samples.NOT + 1}


def test_a_stack_also_teaches_where_there_is_no_ventricle(tmp_path: Path) -> None:
    spacing = Spacing(row_mm=1.5, col_mm=1.5)
    masks = np.zeros((5, 40, 40), dtype=np.uint8)
    masks[1:4, 10:30, 10:30] = 2
    masks[1:3, 15:25, 15:25] = 3
    greys = np.random.default_rng(0).integers(0, 255, masks.shape).astype(np.int16)
    nifti.write_stack(Stack(greys, spacing, slice_spacing_mm=8.0), tmp_path / "p_SAX_ED.nii.gz")
    record = Record("p_SAX_ED", "p", View.SAX, Phase.ED, "acdc", tmp_path / "p_SAX_ED.nii.gz")
    labels = tmp_path / "labels"
    labels.mkdir()
    grid = nifti.read(record.path).grid
    nifti.write_mask_like(masks, labels / "p_SAX_ED.nii.gz", grid=grid)
    assert len(samples.load([record], labels, recipe=SAX, cache=tmp_path)) == 5
    masks[masks == 2] = 0  # only the cavity was drawn, as at ES in Sunnybrook
    nifti.write_mask_like(masks, labels / "p_SAX_ED.nii.gz", grid=grid)
    assert len(samples.load([record], labels, recipe=SAX, cache=tmp_path)) == 3
    nifti.write_mask_like(np.full_like(masks, 3), labels / "p_SAX_ED.nii.gz", grid=grid)
    with pytest.raises(DatasetError, match="no image has a usable mask"):
        samples.load([record], labels, recipe=SAX, cache=tmp_path)


def test_what_only_a_cavity_leaves_open_is_what_the_network_says() -> None:
    targets = torch.tensor([[1, 0], [samples.NOT + 1, samples.NOT + 1]])[None, None]
    logits = torch.zeros(1, 4, 2, 2)
    logits[:, 1] = 5  # cavity everywhere, which is ruled out below
    logits[0, 2, 1, 0] = logits[0, 3, 1, 1] = 1
    assert ClassTarget().completed(targets, logits)[0, 0].tolist() == [[1, 0], [2, 3]]
    whole = targets[..., :1, :]
    assert ClassTarget().completed(whole, logits[..., :1, :]) is whole
