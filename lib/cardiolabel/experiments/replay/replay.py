"""Replay of annotation rounds through a real server and client, each followed by a retraining."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from cardiolabel.domain import Record
from cardiolabel.experiments import servers
from cardiolabel.experiments.replay.annotator import Annotator
from cardiolabel.experiments.replay.plan import begin, draw_plan
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io import nifti
from cardiolabel.io.files import atomic
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.models.versions import Versions
from cardiolabel.networks.registry import build
from cardiolabel.networks.weights import ModelCard, read_card, save_model
from cardiolabel.records import manifest
from cardiolabel.records.layout import SUFFIX, StudiesLayout, file_of, id_of, labelled_records
from cardiolabel.system.readable_text import readable_text
from cardiolabel.training import training_recipe
from cardiolabel.training.fit import FitProgress
from cardiolabel.training.retraining.figures import figures
from cardiolabel.training.train import train
from cardiolabel.training.training_recipe import TrainingRecipe

Progress = Callable[[int, int, str], None]

_ROUNDS = "rounds.json"
_NOTHING = "nothing"
"""Training data of a model at the start of a replay."""


@dataclass(frozen=True)
class Settings:
    """Settings of a replay.

    Parameters
    ----------
    rounds : tuple of int
        Patients with labels after each round, growing.
    images : int
        Training images of each round, about, whatever it has to learn from.
    scratch_images : int
        Of a training from scratch on the same labels, to compare with; 0 for none.
    scratch_rounds : tuple of int
        Of which rounds (patients with labels) there is one.
    judges : int
        Patients by whom the server judges candidates.
    seed : int
    """

    rounds: tuple[int, ...] = (20, 40, 80, 160, 320)
    images: int = 3000
    scratch_images: int = 0
    scratch_rounds: tuple[int, ...] = ()
    judges: int = 40
    seed: int = 0


@dataclass(frozen=True)
class Quality:
    """Means over patients that neither server nor model ever saw: Dice, and EF error in points."""

    dice: float
    lv_dice: float
    ef_mae_pct: float | None
    patients: int
    ef_patients: int


@dataclass(frozen=True)
class Round:
    """One round; what has not happened yet is None.

    ``patients`` have labels after it. ``offered_lv_dice`` is that of the predictions which were corrected, by
    the model ``offered_by``. ``training_s`` runs from the request to the verdict.
    """

    patients: int
    images: int | None = None
    annotation_s: float | None = None
    offered_lv_dice: float | None = None
    offered_by: str = ""
    epochs: int | None = None
    training_s: float | None = None
    version: int | None = None
    reason: str = ""
    served: Quality | None = None
    scratch: Quality | None = None
    scratch_s: float | None = None


def replay(
    model: str,
    studies: Path,
    *,
    out: Path,
    app: Path,
    settings: Settings | None = None,
    on_progress: Progress = lambda done, total, what: None,
) -> list[Round]:
    """Annotate a labelled data set round by round; run again to continue after an interruption.

    The server starts with an untrained network, so that it knows none of the patients that judge it. Its
    first retraining is from scratch, later ones start from the published model.

    Parameters
    ----------
    model : str
        Of the app, with a recipe of that name.
    studies : Path
        A studies folder with ``labels/final`` and an official split; what that holds back is reported on.
    out : Path
        Created where missing: the server's studies and app, and ``rounds.json``.
    app : Path
        The server app; its models are left out.
    settings : Settings, optional
    on_progress : callable
        Told done, total and what is being done.

    Raises
    ------
    DatasetError
        Too few patients, or ``out`` was started otherwise.
    ServerError, ReplayError
        The server does not start, or refuses something.
    OSError
        ``out`` cannot be written.
    """
    chosen = settings or Settings()
    recipe = training_recipe.read(model)
    labels = StudiesLayout(studies).final
    records = labelled_records(manifest.scan(studies), labels, recipe.form.views)
    plan = draw_plan(
        records,
        chosen.rounds,
        judges=chosen.judges,
        seed=chosen.seed,
        settings={"model": model, **asdict(chosen)},
    )
    out.mkdir(parents=True, exist_ok=True)
    begin(plan, records, labels, out)
    _begin_app(app, out / "app", recipe)
    run = _Replay(recipe, studies, out, chosen, on_progress)
    run.reported = [record for record in records if record.patient in set(plan.reported)]
    with servers.running(
        out / "app", out / "studies", conf=servers.quiet(model), home=out / "home"
    ) as server:
        run.annotator = Annotator(f"http://127.0.0.1:{server.port}", model, labels, out / "home" / "client")
        for number, patients in enumerate(plan.rounds):
            run.round(
                number, {record.image_id: record for record in records if record.patient in set(patients)}
            )
    for number in range(len(plan.rounds)):
        run.scratch(number, [patient for part in plan.rounds[: number + 1] for patient in part])
    return run.rounds


def _begin_app(app: Path, own: Path, recipe: TrainingRecipe) -> None:
    """Copy the app with an untrained model as its only one."""
    if (own / "model" / f"{recipe.name}.json").is_file():  # written last
        return
    left_out = shutil.ignore_patterns("model", "logs", "__pycache__")
    shutil.copytree(app, own, ignore=left_out, dirs_exist_ok=True)
    torch.manual_seed(recipe.seed)
    arguments = {"out_channels": recipe.form.channels, **recipe.arguments}
    network = build(recipe.network, arguments)
    card = ModelCard(
        name=recipe.name,
        version="0.0.0",
        network=recipe.network,
        arguments={key: value for key, value in arguments.items() if key != "pretrained"},
        recipe=recipe.form.name,
        trained_on=_NOTHING,
        licence=_NOTHING,
        size_px=recipe.size_px,
    )
    save_model(network, card, folder=own / "model")


class _Replay:
    """A replay and its rounds, stored after each step."""

    annotator: Annotator
    reported: list[Record]

    def __init__(
        self, recipe: TrainingRecipe, studies: Path, out: Path, settings: Settings, on_progress: Progress
    ) -> None:
        self._recipe, self._studies, self._out, self._settings = recipe, studies, out, settings
        self._on_progress = on_progress
        self.rounds = _read(out / _ROUNDS) or [Round(patients) for patients in settings.rounds]

    def round(self, number: int, records: dict[str, Record]) -> None:
        """Annotate, retrain, and evaluate the served model."""
        total, this = len(records), f"round {number + 1}"
        if self.rounds[number].images is None:
            done = {id_of(path) for path in self._labels.glob(f"*{SUFFIX}")}
            left = {image_id: record for image_id, record in records.items() if image_id not in done}
            version = read_card(self._recipe.name, self._served).version
            annotated = self.annotator.annotate(
                left,
                version=version,
                on_progress=lambda corrected: self._on_progress(corrected, total, f"{this}: correcting"),
            )
            self._note(
                number,
                images=annotated.images,
                annotation_s=annotated.seconds,
                offered_by=version,
                offered_lv_dice=annotated.offered_lv_dice,
            )
        if self.rounds[number].training_s is None:
            epochs = max(1, round(self._settings.images / self._frames()))
            start_s = time.monotonic()
            status = self.annotator.retrain(
                {"epochs": epochs, "from_scratch": not Versions(self._weights).served(self._recipe.name)},
                on_progress=lambda status: self._on_progress(
                    status.get("done", 0),
                    status.get("total", 0),
                    f"{this}: {status.get('state', 'starting')}",
                ),
            )
            self._note(
                number,
                epochs=epochs,
                training_s=time.monotonic() - start_s,
                version=status["version"],
                reason=status["reason"],
            )
        if self.rounds[number].served is None:
            self._note(number, served=self._quality(self._served, f"{this}: reporting"))

    def scratch(self, number: int, patients: list[str]) -> None:
        """Train on the same labels from scratch, if requested."""
        settings, annotation_round = self._settings, self.rounds[number]
        if (
            not settings.scratch_images
            or annotation_round.scratch
            or annotation_round.patients not in settings.scratch_rounds
        ):
            return
        what = f"from scratch on {annotation_round.patients} patients"

        def show(progress: FitProgress) -> None:
            self._on_progress(progress.images, progress.budget, what)

        records = self._labelled()
        folder = self._out / "scratch" / str(annotation_round.patients)
        mine = [record for record in records if record.patient in set(patients)]
        trained = train(
            replace(self._recipe, images=settings.scratch_images),
            mine,
            self._labels,
            out=folder,
            version="scratch",
            trained_on=readable_text(self._studies.resolve().name),
            licence=_NOTHING,
            on_progress=show,
        )
        self._note(number, scratch=self._quality(folder, what), scratch_s=trained.state.seconds)

    @property
    def _labels(self) -> Path:
        return StudiesLayout(self._out / "studies").final

    @property
    def _weights(self) -> ModelFolders:
        return ModelFolders.of_studies(self._out / "studies", self._out / "app" / "model")

    @property
    def _served(self) -> Path:
        return Versions(self._weights).folder(self._recipe.name)

    def _labelled(self) -> list[Record]:
        """Return the images of the model's views that have a final mask by now."""
        return labelled_records(manifest.scan(self._out / "studies"), self._labels, self._recipe.form.views)

    def _frames(self) -> int:
        """Count the labelled frames and slices to learn from."""
        training = [record for record in self._labelled() if record.split == "TRAIN"]
        files = [file_of(self._labels, record.image_id) for record in training]
        return sum(int(nifti.read_mask(path).any(axis=(1, 2)).sum()) for path in files)

    def _quality(self, weights: Path, what: str) -> Quality:
        def show(done: int) -> None:
            self._on_progress(done, len(self.reported), what)

        predictor = Predictor.load(self._recipe.name, weights)
        result = figures(predictor, self.reported, self._studies, on_progress=show)
        errors = list(result.ef_error_pct.values())
        return Quality(
            float(np.mean(list(result.dice.values()))),
            float(np.mean(list(result.lv_dice.values()))),
            float(np.mean(errors)) if errors else None,
            len(result.dice),
            len(errors),
        )

    def _note(self, number: int, **values: object) -> None:
        self.rounds[number] = replace(self.rounds[number], **values)  # type: ignore[arg-type]
        with atomic(self._out / _ROUNDS) as draft:
            draft.write_text(
                json.dumps([asdict(annotation_round) for annotation_round in self.rounds], indent=1) + "\n",
                encoding="utf-8",
            )


def _read(path: Path) -> list[Round]:
    if not path.exists():
        return []
    rounds = []
    for fields in json.loads(path.read_text(encoding="utf-8")):
        for part in ("served", "scratch"):
            fields[part] = Quality(**fields[part]) if fields[part] else None
        rounds.append(Round(**fields))
    return rounds
