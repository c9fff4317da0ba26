"""A network of heatmaps is trained as one of classes is: from a studies folder to a model that predicts."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cardiolabel.datasets.phantom import write_sample
from cardiolabel.domain import Record
from cardiolabel.errors import DatasetError
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io import nifti
from cardiolabel.networks.landmark_heatmaps import peak_points
from cardiolabel.networks.registry import build
from cardiolabel.preprocessing.recipes import LANDMARKS
from cardiolabel.records import manifest
from cardiolabel.training import samples
from cardiolabel.training.fit import FitProgress, fit
from cardiolabel.training.landmark_points import landmarks_of_mask
from cardiolabel.training.train import train
from cardiolabel.training.training_recipe import TrainingRecipe

RECIPE = TrainingRecipe(
    name="tiny",
    source="test",
    input="landmarks",
    network="unet",
    arguments={"widths": [8, 16, 32, 32]},
    size_px=64,
    images=480,
    batch=4,
    loss="dsnt",
    learning_rate=1e-2,
    augmentation="none",
    selection=0,
    ema_decay=0.9,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landmarks") / "studies"
    write_sample(folder, patients=2, seed=2)
    shutil.copytree(folder / "truth", folder / "labels" / "final")
    return folder


def stills(folder: Path) -> list[Record]:
    return [each for each in manifest.scan(folder) if "cine" not in each.image_id]


def load(folder: Path, cache: Path) -> samples.Samples:
    return samples.load(stills(folder), folder / "labels" / "final", recipe=RECIPE.form, cache=cache)


def test_samples_hold_landmarks_on_the_networks_grid(folder: Path, tmp_path: Path) -> None:
    result = load(folder, tmp_path)
    assert result.points.shape == (len(result), 7, 2) and len(result) == 8
    for record, points, classes in zip(stills(folder), result.points, result.classes, strict=True):
        clip = nifti.read(record.path).clip
        mask = nifti.read_mask(folder / "truth" / record.path.name)[0]
        native = landmarks_of_mask(mask, clip.spacing).points_px
        back = RECIPE.form.placement(clip).to_frame(points.double().numpy())
        np.testing.assert_allclose(back, native, atol=1e-3)
        apex, annulus = points[3].round().long(), points[[0, 6]].mean(0).round().long()
        assert classes[tuple(apex + torch.tensor([2, 0]))] == 1
        assert classes[tuple(annulus - torch.tensor([2, 0]))] == 1
    again = load(folder, tmp_path)
    assert again.points.equal(result.points) and again.images.equal(result.images)


def test_training_lowers_the_loss_and_finds_the_landmarks(folder: Path, tmp_path: Path) -> None:
    result = load(folder, tmp_path)
    seen: list[FitProgress] = []
    torch.manual_seed(0)
    network = build("unet", {"out_channels": 7, "widths": (8, 16, 32, 32)})
    before = away_px(network.eval(), result)
    best, state = fit(
        network, result, result, recipe=RECIPE, checkpoint=tmp_path / "fit.pt", on_progress=seen.append
    )
    assert seen[-1].loss < 0.6 * seen[0].loss
    assert away_px(best, result) < 2 < 5 < before
    assert state.best_dice is not None and state.best_dice > 0.9


def away_px(network: torch.nn.Module, found: samples.Samples) -> float:
    """Mean distance of predicted landmarks from true ones, in pixels of the network's grid."""
    with torch.inference_mode():
        points = peak_points(network(found.images.float()))
    return float((points - found.points).norm(dim=-1).mean())


def test_a_varied_training_is_finite_and_leaves_a_model_that_predicts_cavities(
    folder: Path, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, images=240, augmentation="echo")
    done = train(
        recipe,
        stills(folder),
        folder / "labels" / "final",
        out=tmp_path,
        version="1",
        trained_on="phantoms",
        licence="none",
    )
    assert np.isfinite(done.state.loss) and done.state.curve[-1][1] < done.state.curve[0][1]
    assert (done.card.recipe, done.card.arguments["out_channels"]) == ("landmarks", 7)
    predictor = Predictor.load("tiny", tmp_path)
    clip = nifti.read(stills(folder)[0].path).clip
    masks = predictor.predict(clip)
    assert masks.shape == clip.shape and set(np.unique(masks)) <= {0, 1}
    assert predictor.recipe == LANDMARKS.sized(64)


def test_a_mask_without_landmarks_costs_its_own_image(folder: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    shutil.copytree(folder / "truth", labels)
    record = stills(folder)[0]
    grid = nifti.read(record.path).grid
    speck = np.zeros(grid.frames_shape, np.uint8)
    speck[0, 5:7, 5:7] = 1
    nifti.write_mask_like(speck, labels / record.path.name, grid=grid)
    result = samples.load(stills(folder), labels, recipe=RECIPE.form, cache=tmp_path)
    assert len(result) == len(result.points) == 7
    assert result.skipped == ((record.image_id, "frame 1 has no landmarks: the LV cavity has only 4 pixels"),)


@pytest.mark.parametrize(("asked", "loss"), [("landmarks", "dice+ce"), ("camus", "dsnt")])
def test_a_loss_is_for_what_the_network_gives(asked: str, loss: str) -> None:
    with pytest.raises(DatasetError, match=f"no loss '{loss.replace('+', '.')}'; there are: "):
        replace(RECIPE, input=asked, loss=loss)
