"""Training of a model with its card from a studies folder: split, samples, fit, weights."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter

from cardiolabel.domain import Record
from cardiolabel.errors import DatasetError
from cardiolabel.networks.registry import build
from cardiolabel.networks.weights import ModelCard, load_model, save_model
from cardiolabel.records.patient_split import Split, draw, frozen
from cardiolabel.training.fit import FitProgress, FitState, fit
from cardiolabel.training.samples import Samples, load, mask_paths
from cardiolabel.training.training_recipe import TrainingRecipe


@dataclass(frozen=True)
class Trained:
    """Result of a run: card, split, state, and images that could not be used."""

    card: ModelCard
    split: Split
    state: FitState
    skipped: tuple[tuple[str, str], ...]


def train(
    recipe: TrainingRecipe,
    records: list[Record],
    labels: Path,
    *,
    out: Path,
    version: str,
    trained_on: str,
    licence: str,
    held_back: Collection[str] = (),
    start: Path | None = None,
    rehearsed: tuple[Sequence[Record], Path] | None = None,
    epochs: int | None = None,
    cache: Path | None = None,
    device: str | None = None,
    on_reading: Callable[[int, int], None] = lambda done, total: None,
    on_progress: Callable[[FitProgress], None] = lambda progress: None,
    on_judged: Callable[[FitState], None] = lambda state: None,
) -> Trained:
    """Train a model, or continue an interrupted run, and write it to the run's folder.

    Parameters
    ----------
    recipe : TrainingRecipe
    records : list of Record
        Images; those without a mask, or of views that the recipe is not for, are left out.
    labels : Path
        Folder of masks, as `cardiolabel.training.samples.mask_paths` finds them.
    out : Path
        The run: split, checkpoint, TensorBoard events, ``<name>.safetensors`` and ``<name>.json``.
    version, trained_on, licence : str
        For the card.
    held_back : collection of str
        Patients to leave out besides those of the official split.
    start : Path, optional
        A folder with a model of the recipe's name, whose weights are started with. Frames in which only the
        cavity was drawn are then learned from too.
    rehearsed : sequence of Record and Path, optional
        Images that ``start`` was trained on and the folder of their masks: half of what is seen, besides
        ``epochs``, so that they are not forgotten.
    epochs : int, optional
        How often each frame is seen, in place of the recipe's budget.
    cache : Path, optional
        Folder that keeps the images as network input, for runs that share them; by default the run's.
    device : str, optional
        As `fit`.

    Raises
    ------
    DatasetError
        Nothing to train on, the run was started on other patients, or ``start`` holds another network.
    MissingWeightsError, CorruptWeightsError
        There is no such model.
    OSError
        The folder cannot be written.
    """
    form = recipe.form
    out.mkdir(parents=True, exist_ok=True)
    paths = mask_paths(records, labels)
    usable = [
        record
        for record in records
        if record.view in form.views and record.image_id in paths and record.training_consent is not False
    ]
    if not usable:
        raise DatasetError(f"{labels}: no masks of {', '.join(sorted(form.views))} images to train on")
    drawn = draw(usable, selection=recipe.selection, seed=recipe.seed, held_back=held_back)
    split = frozen(out / "split.json", drawn)
    read = partial(
        load, recipe=form, cache=cache or out, cavity_only=start is not None, on_progress=on_reading
    )  # a network that begins with nothing could not complete what was left open
    parts: list[Samples] = []
    for patients in (set(split.training), set(split.selection)):
        chosen = [record for record in usable if record.patient in patients]
        parts.append(read(chosen, labels))
    training, selection = parts
    again = read(*rehearsed) if rehearsed else None
    if epochs:
        recipe = replace(recipe, images=epochs * len(training) * (2 if again else 1))
    torch.manual_seed(recipe.seed)
    arguments = {"out_channels": form.channels, **recipe.arguments}
    try:
        network = build(recipe.network, arguments)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"recipe {recipe.name}: {recipe.network} cannot be built ({error})") from error
    settings = asdict(recipe)
    if start:
        settings["start"] = _begin(network, recipe.name, start)
    events = SummaryWriter(str(out / "tensorboard"))

    def note(state: FitState) -> None:
        for name, value in zip(("loss", "selection_dice"), state.curve[-1][1:], strict=False):
            events.add_scalar(name, value, int(state.curve[-1][0]))
        on_judged(state)

    best, state = fit(
        network,
        training,
        selection,
        recipe=recipe,
        checkpoint=out / "checkpoint.pt",
        begun_with=settings.get("start", ""),
        rehearsed=again,
        device=device,
        on_progress=on_progress,
        on_judged=note,
    )
    events.close()
    card = ModelCard(
        name=recipe.name,
        version=version,
        network=recipe.network,
        arguments={key: value for key, value in arguments.items() if key != "pretrained"},
        recipe=form.name,
        trained_on=f"{trained_on}: {len(split.training)} patients, {len(training)} frames"
        + (f"; rehearsed: {len(again)} frames" if again else ""),
        licence=licence,
        settings=settings,
        size_px=recipe.size_px,
    )
    return Trained(save_model(best, card, folder=out), split, state, training.skipped + selection.skipped)


def _begin(network: torch.nn.Module, name: str, folder: Path) -> str:
    """Load the weights of a model into a network; returns the model's name."""
    started, card = load_model(name, folder)
    try:
        network.load_state_dict(started.state_dict())
    except RuntimeError as error:
        raise DatasetError(f"{folder}: model {name} is a {card.network} of other sizes") from error
    return f"{card.name} {card.version}, sha256 {card.sha256[:12]}"
