"""Fitting of a network to prepared arrays: seeded, resumable after a kill, in bf16 where the device supports
it.

The budget is a number of images. An exponential moving average (EMA) of the weights is evaluated at intervals
on the selection patients, and the best one is kept.
"""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from cardiolabel.errors import DatasetError
from cardiolabel.io.files import atomic
from cardiolabel.preprocessing.augmentation import AUGMENTATIONS
from cardiolabel.training.depthwise import quicken
from cardiolabel.training.losses import LOSSES, supervised
from cardiolabel.training.optimizers import OPTIMIZERS, rate
from cardiolabel.training.samples import NOT, Samples, joined
from cardiolabel.training.targets import TARGETS
from cardiolabel.training.training_recipe import TrainingRecipe

logger = logging.getLogger(__name__)

_JUDGED = 24
"""Number of evaluations of the average in a run."""

_JUDGED_AT_ONCE = 16
_GRADIENT_NORM = 5.0


@dataclass(frozen=True)
class FitProgress:
    """Progress of a run: images seen, running loss, best Dice, seconds of training."""

    images: int
    budget: int
    loss: float
    best_dice: float | None
    seconds: float


@dataclass
class FitState:
    """State of a run; ``curve`` holds images, loss and, where there are selection patients, Dice at each
    evaluation.
    """

    steps: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    best_dice: float | None = None
    best_images: int = 0
    curve: list[list[float]] = field(default_factory=list)


def fit(
    network: torch.nn.Module,
    training: Samples,
    selection: Samples,
    *,
    recipe: TrainingRecipe,
    checkpoint: Path,
    begun_with: str = "",
    rehearsed: Samples | None = None,
    device: str | None = None,
    on_progress: Callable[[FitProgress], None] = lambda progress: None,
    on_judged: Callable[[FitState], None] = lambda state: None,
    save_every_s: float = 120.0,
) -> tuple[torch.nn.Module, FitState]:
    """Train a network; returns its best average, in evaluation mode, and the run's state.

    An existing checkpoint is continued, with the same result as an uninterrupted run apart from rounding
    between threads. The checkpoint is not deleted here.

    Parameters
    ----------
    network : torch.nn.Module
    training, selection : Samples
        Of different patients; without any to select by, the last average is kept.
    recipe : TrainingRecipe
    checkpoint : Path
    begun_with : str
        The model whose weights the network has, if any.
    rehearsed : Samples, optional
        What was learned before and is not to be forgotten: half of each batch.
    device : str, optional
        ``cpu`` or ``cuda``; by default the GPU where there is one.
    on_progress, on_judged : callable
        Told after every step, and after every judgement.

    Raises
    ------
    DatasetError
        The checkpoint is of another recipe, of other images or masks, or was started with another model.
    OSError
        The checkpoint cannot be written.
    """
    fresh = len(training)
    if rehearsed is not None:
        training = joined(training, rehearsed)
    made_of = json.dumps([asdict(recipe), begun_with, training.key, selection.key], default=str)
    run = _Run(network, recipe, checkpoint, made_of, device)
    target = TARGETS[recipe.form.output]
    targets = target.of(training)
    loss_of, augment = LOSSES[recipe.loss](), AUGMENTATIONS[recipe.augmentation]
    judge_every = max(1, recipe.images // (_JUDGED * recipe.batch))
    total = max(1, recipe.images // recipe.batch)
    state, saved_s = run.state, run.state.seconds
    while state.steps < total:
        start_s = time.monotonic()
        run.set_rate(state.steps / total)
        picked = _pick(fresh, len(training), recipe.batch, run.generator)
        images, warped = augment(
            training.images[picked].float(),
            targets[picked],
            generator=run.generator,
            warp_targets=target.moved,
        )
        run.step(images, warped, loss_of)
        if state.steps % judge_every == 0 or state.steps == total:
            run.judge(selection)
            on_judged(state)
        state.seconds += time.monotonic() - start_s
        on_progress(
            FitProgress(
                state.steps * recipe.batch, total * recipe.batch, state.loss, state.best_dice, state.seconds
            )
        )
        if state.seconds - saved_s > save_every_s or state.steps == total:
            saved_s = state.seconds
            run.save()
    return run.best_network(), state


def _in_bf16(device: torch.device) -> torch.autocast:
    """Return an autocast context; off on CPUs without bf16 arithmetic, which are 12 times slower with it."""
    enabled = device.type != "cpu" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def _pick(fresh: int, total: int, batch: int, generator: torch.Generator) -> torch.Tensor:
    """Draw a batch: from the first ``fresh`` frames, and as many from the others, if there are any."""
    if total == fresh:
        return torch.randint(fresh, (batch,), generator=generator)
    half = batch // 2
    return torch.cat(
        [
            torch.randint(fresh, (batch - half,), generator=generator),
            torch.randint(fresh, total, (half,), generator=generator),
        ]
    )


def _compared(predicted: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return predicted and true classes, one-hot; where only a class is excluded, only that one is
    compared.
    """
    is_open = classes >= NOT
    truth = torch.nn.functional.one_hot(classes % NOT, predicted.shape[-1]).bool()
    return predicted & (truth | ~is_open[..., None]), truth & ~is_open[..., None]


class _Run:
    """A network in training, with everything that a checkpoint holds."""

    def __init__(
        self,
        network: torch.nn.Module,
        recipe: TrainingRecipe,
        checkpoint: Path,
        made_of: str,
        device: str | None,
    ) -> None:
        self._recipe, self._checkpoint, self._made_of = recipe, checkpoint, made_of
        self._target = TARGETS[recipe.form.output]
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        placed: Any = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network: torch.nn.Module = placed.train()
        self._average = copy.deepcopy(self._network).eval()
        quicken(self._network)
        self._best = copy.deepcopy(self._average)
        self._optimizer = OPTIMIZERS[recipe.optimizer](
            self._network.parameters(), recipe.learning_rate, recipe.weight_decay
        )
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.state = FitState()
        if checkpoint.exists():
            self._restore()

    def set_rate(self, share: float) -> None:
        recipe = self._recipe
        for group in self._optimizer.param_groups:
            group["lr"] = rate(recipe.learning_rate, recipe.schedule, warmup=recipe.warmup, share=share)

    def step(self, images: torch.Tensor, targets: torch.Tensor, loss_of: Any) -> None:
        batch = images.to(self._device).contiguous(memory_format=torch.channels_last)
        with _in_bf16(self._device):
            logits = self._network(batch)
        finest = logits[0] if isinstance(logits, list) else logits
        loss = supervised(loss_of, logits, self._target.completed(targets.to(self._device), finest))
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), _GRADIENT_NORM)
        self._optimizer.step()
        state = self.state
        self._follow(min(self._recipe.ema_decay, (1 + state.steps) / (10 + state.steps)))
        state.steps += 1
        state.loss += (float(loss.detach()) - state.loss) * max(0.02, 1 / state.steps)

    @torch.no_grad()
    def _follow(self, decay: float) -> None:
        for mean, current in zip(self._average.parameters(), self._network.parameters(), strict=True):
            mean.lerp_(current, 1 - decay)
        for averaged, latest in zip(self._average.buffers(), self._network.buffers(), strict=True):
            averaged.copy_(latest)

    def judge(self, selection: Samples) -> None:
        """Keep the average if its mean Dice over the structures is the best so far."""
        state, seen = self.state, self.state.steps * self._recipe.batch
        dices = self._dice(selection) if len(selection) else None
        state.curve.append([seen, state.loss, *([] if dices is None else [dices])])
        if dices is None or state.best_dice is None or dices >= state.best_dice:
            state.best_dice, state.best_images = dices, seen
            self._best.load_state_dict(self._average.state_dict())

    @torch.inference_mode()
    def _dice(self, samples: Samples) -> float:
        """Return the Dice over all frames together, averaged over structures, on the network's own grid."""
        both = total = torch.zeros(0)
        for start in range(0, len(samples), _JUDGED_AT_ONCE):
            chunk = slice(start, start + _JUDGED_AT_ONCE)
            batch = samples.images[chunk].float().to(self._device)
            with _in_bf16(self._device):
                logits = self._average(batch.contiguous(memory_format=torch.channels_last))
            predicted = self._target.predicted(logits.float())
            predicted, truth = _compared(predicted, samples.classes[chunk].long())
            overlap, area = (
                (predicted & truth).sum((0, 1, 2)),
                predicted.sum((0, 1, 2)) + truth.sum((0, 1, 2)),
            )
            both, total = (both + overlap, total + area) if len(both) else (overlap, area)
        return float((2 * both / total.clamp(min=1))[1:].mean())

    def best_network(self) -> torch.nn.Module:
        best: torch.nn.Module = self._best.cpu()
        return best

    def save(self) -> None:
        everything: dict[str, Any] = {
            "made_of": self._made_of,
            "network": self._network.state_dict(),
            "average": self._average.state_dict(),
            "best": self._best.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all(),
            "state": vars(self.state),
        }
        with atomic(self._checkpoint) as draft:
            torch.save(everything, draft)

    def _restore(self) -> None:
        saved = torch.load(self._checkpoint, weights_only=True, map_location=self._device)
        if saved.get("made_of") != self._made_of:
            raise DatasetError(
                f"{self._checkpoint}: started with another recipe, model, images or masks; delete its folder"
                " or give another --out"
            )
        self._network.load_state_dict(saved["network"])
        self._average.load_state_dict(saved["average"])
        self._best.load_state_dict(saved["best"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self.generator.set_state(saved["generator"].cpu())
        torch.set_rng_state(saved["torch"].cpu())
        torch.cuda.set_rng_state_all([state.cpu() for state in saved["cuda"]])
        self.state = FitState(**saved["state"])
        logger.info("continuing after %d steps", self.state.steps)
