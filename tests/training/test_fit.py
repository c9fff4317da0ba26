"""Fitting lowers the loss, keeps the best average, and goes on after an interruption where it stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cardiolabel.errors import DatasetError
from cardiolabel.networks.registry import build
from cardiolabel.training.fit import FitProgress, FitState, fit
from cardiolabel.training.samples import Samples
from cardiolabel.training.training_recipe import TrainingRecipe

ARGUMENTS = {"out_channels": 2, "widths": (4, 6, 8)}
BATCH = 4


def recipe(steps: int, **changes: object) -> TrainingRecipe:
    listed = {"name": "tiny", "source": "test", "input": "camus", "network": "unet", "learning_rate": 1e-2}
    return TrainingRecipe(**{**listed, "images": steps * BATCH, "batch": BATCH, **changes})  # type: ignore[arg-type]


def discs(*centres: int) -> Samples:
    rows, cols = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    classes = torch.stack([((rows - c) ** 2 + (cols - 16) ** 2 < 64).byte() for c in centres])
    return Samples((0.2 + 0.6 * classes[:, None].float()).half(), classes)


NOTHING = Samples(torch.zeros(0, 1, 32, 32).half(), torch.zeros(0, 32, 32, dtype=torch.uint8))


def run(
    checkpoint: Path,
    steps: int,
    *,
    training: Samples | None = None,
    selection: Samples = NOTHING,
    on_progress: Callable[[FitProgress], None] = lambda _: None,
    save_every_s: float = 1e9,
    **changes: object,
) -> tuple[torch.nn.Module, FitState]:
    torch.manual_seed(0)
    return fit(
        build("unet", ARGUMENTS),
        training or discs(13, 15, 17, 19),
        selection,
        recipe=recipe(steps, **changes),
        checkpoint=checkpoint,
        on_progress=on_progress,
        save_every_s=save_every_s,
    )


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(
        torch.allclose(a.float(), b.float(), atol=1e-5)
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_a_few_steps_lower_the_loss(tmp_path: Path) -> None:
    seen: list[FitProgress] = []
    network, _ = run(tmp_path / "fit.pt", 40, on_progress=seen.append)
    assert len(seen) == 40 and (seen[-1].images, seen[-1].budget) == (160, 160)
    assert seen[-1].loss < 0.8 * seen[0].loss
    assert not network.training
    samples = discs(13, 15, 17, 19)
    result, truth = network(samples.images.float()).argmax(1) == 1, samples.classes == 1
    assert 2 * (result & truth).sum() / (result.sum() + truth.sum()) > 0.8


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "dice"},
        {"loss": "ce"},
        {"optimizer": "sgd"},
        {"optimizer": "sgd0.9"},
        {"optimizer": "adam", "schedule": "step"},
        {"schedule": "polynomial", "warmup": 0},
    ],
    ids=str,
)
def test_every_loss_optimizer_and_schedule_learns(tmp_path: Path, changes: dict[str, object]) -> None:
    seen: list[FitProgress] = []
    run(tmp_path / "fit.pt", 30, on_progress=seen.append, **changes)
    assert seen[-1].loss < seen[0].loss


def test_the_best_average_is_kept_and_not_the_last(tmp_path: Path) -> None:
    network, state = run(tmp_path / "fit.pt", 60, selection=discs(14, 18), learning_rate=2e-2)
    assert len(state.curve) >= 20
    dice = [row[2] for row in state.curve]
    assert state.best_dice == max(dice)
    assert state.best_images == next(row[0] for row in reversed(state.curve) if row[2] == max(dice))
    saved = torch.load(tmp_path / "fit.pt", weights_only=True)
    assert all(torch.equal(saved["best"][name], each) for name, each in network.state_dict().items())


class KilledError(Exception):
    pass


def test_an_interrupted_run_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, _ = run(tmp_path / "whole.pt", 8, selection=discs(14))

    def kill(progress: FitProgress) -> None:
        if progress.images == 6 * BATCH:
            raise KilledError

    path = tmp_path / "fit.pt"
    with pytest.raises(KilledError):
        run(path, 8, selection=discs(14), on_progress=kill, save_every_s=0)
    assert torch.load(path, weights_only=True)["state"]["steps"] == 5
    seen: list[FitProgress] = []
    resumed, _ = run(path, 8, selection=discs(14), on_progress=seen.append)
    assert [progress.images for progress in seen] == [24, 28, 32]
    assert same(whole, resumed)


def test_a_finished_run_is_not_trained_further(tmp_path: Path) -> None:
    once, _ = run(tmp_path / "fit.pt", 3)
    seen: list[FitProgress] = []
    again, _ = run(tmp_path / "fit.pt", 3, on_progress=seen.append)
    assert seen == []
    assert same(once, again)


def test_the_seed_decides(tmp_path: Path) -> None:
    first, other, third = (run(tmp_path / f"{seed}.pt", 3, seed=seed // 2)[0] for seed in range(3))
    assert same(first, other) and not same(first, third)


def test_deep_supervision_trains(tmp_path: Path) -> None:
    seen: list[FitProgress] = []
    torch.manual_seed(0)
    network = build("dynunet", {"out_channels": 2, "widths": (4, 8, 8, 8), "heads": 2})
    fit(
        network,
        discs(13, 19),
        NOTHING,
        recipe=recipe(20),
        checkpoint=tmp_path / "fit.pt",
        on_progress=seen.append,
    )
    assert seen[-1].loss < seen[0].loss


@pytest.mark.parametrize("changed", ["recipe", "masks"])
def test_a_checkpoint_of_something_else_is_not_continued(tmp_path: Path, changed: str) -> None:
    run(tmp_path / "fit.pt", 2)
    before = (tmp_path / "fit.pt").read_bytes()
    with pytest.raises(DatasetError, match="another recipe, model, images or masks"):
        if changed == "recipe":
            run(tmp_path / "fit.pt", 2, learning_rate=0.5)
        else:
            run(tmp_path / "fit.pt", 2, training=replace(discs(13, 15, 17, 19), key="other"))
    assert (tmp_path / "fit.pt").read_bytes() == before
