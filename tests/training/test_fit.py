"""Fitting lowers the loss, and goes on after an interruption where it stopped."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cardiolabel.networks.registry import build
from cardiolabel.training import fit as module
from cardiolabel.training.fit import FitProgress, FitSettings, fit

STEP_S = 1.0
ARGUMENTS = {"out_channels": 2, "widths": (4, 6, 8)}


@pytest.fixture(autouse=True)
def a_clock_that_ticks_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is read at the start and at the end of a step."""
    ticks = itertools.count(step=STEP_S)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(ticks)))


def data() -> tuple[torch.Tensor, torch.Tensor]:
    rows, cols = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    masks = torch.stack([((rows - c) ** 2 + (cols - 16) ** 2 < 64).long() for c in (13, 15, 17, 19)])
    return 0.2 + 0.6 * masks[:, None].float(), masks


def run(
    checkpoint: Path,
    steps: int,
    *,
    on_progress: Callable[[FitProgress], None] = lambda _: None,
    save_every_s: float = 1e9,
) -> torch.nn.Module:
    torch.manual_seed(0)
    images, masks = data()
    return fit(
        build("unet", ARGUMENTS), images, masks=masks,
        settings=FitSettings(budget_minutes=steps * STEP_S / 60, batch=4, learning_rate=1e-2),
        checkpoint=checkpoint, on_progress=on_progress, save_every_s=save_every_s,
    )  # fmt: skip


def test_a_few_steps_lower_the_loss(tmp_path: Path) -> None:
    seen: list[FitProgress] = []
    ema = run(tmp_path / "fit.pt", 30, on_progress=seen.append)
    assert len(seen) == 30 and seen[-1].share == pytest.approx(1) and seen[-1].images == 120
    assert seen[-1].loss < 0.8 * seen[0].loss
    images, masks = data()
    assert not ema.training
    found = ema(images).argmax(1)
    assert 2 * ((found == 1) & (masks == 1)).sum() / ((found == 1).sum() + (masks == 1).sum()) > 0.8


def test_the_last_state_is_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "fit.pt"
    ema = run(path, 3)
    saved = torch.load(path, weights_only=True)
    assert saved["progress"]["steps"] == 3
    assert all(torch.equal(saved["ema"][name], tensor) for name, tensor in ema.state_dict().items())
    assert [file.name for file in path.parent.iterdir()] == ["fit.pt"]


class KilledError(Exception):
    pass


def test_an_interrupted_run_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole.pt", 8)

    def kill(progress: FitProgress) -> None:
        if progress.images == 6 * 4:
            raise KilledError

    path = tmp_path / "fit.pt"
    with pytest.raises(KilledError):
        run(path, 8, on_progress=kill, save_every_s=1.5 * STEP_S)
    assert torch.load(path, weights_only=True)["progress"]["steps"] == 4
    seen: list[FitProgress] = []
    resumed = run(path, 8, on_progress=seen.append)
    assert [progress.images for progress in seen] == [20, 24, 28, 32]
    for one, other in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.allclose(one.float(), other.float(), atol=1e-5)


def test_a_finished_run_is_not_trained_further(tmp_path: Path) -> None:
    once = run(tmp_path / "fit.pt", 3)
    seen: list[FitProgress] = []
    again = run(tmp_path / "fit.pt", 3, on_progress=seen.append)
    assert seen == []
    for one, other in zip(once.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_a_longer_budget_continues_a_finished_run(tmp_path: Path) -> None:
    run(tmp_path / "fit.pt", 3)
    seen: list[FitProgress] = []
    run(tmp_path / "fit.pt", 5, on_progress=seen.append)
    assert [progress.images for progress in seen] == [16, 20]


def test_the_seed_decides(tmp_path: Path) -> None:
    one, other = run(tmp_path / "a.pt", 3), run(tmp_path / "b.pt", 3)
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)
