"""Comparison of recipes: trained on the same patients with one budget, evaluated on the same others,
timed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path

import torch

from cardiolabel.domain import Record
from cardiolabel.errors import CardiolabelError, DatasetError, ModelError
from cardiolabel.evaluation.evaluate import evaluate
from cardiolabel.evaluation.files import write_evaluation
from cardiolabel.experiments.comparison.outcome import Outcome, quality
from cardiolabel.experiments.comparison.timing import REFERENCE, REFERENCE_PX, time_networks
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io.files import atomic
from cardiolabel.networks.registry import build
from cardiolabel.networks.weights import load_model
from cardiolabel.pipeline.infer_patients import infer_patients
from cardiolabel.pipeline.workers import Options
from cardiolabel.records import manifest
from cardiolabel.records.layout import StudiesLayout, labelled_records
from cardiolabel.records.patient_list import read_patient_list
from cardiolabel.records.patient_split import draw, frozen
from cardiolabel.studies.predicted import write_model_note
from cardiolabel.system.readable_text import readable_text
from cardiolabel.training import training_recipe
from cardiolabel.training.fit import FitProgress
from cardiolabel.training.train import train
from cardiolabel.training.training_recipe import TrainingRecipe

logger = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]

_SELECTION = 0.05
_COSTS_ITS_ROW = (CardiolabelError, RuntimeError, ValueError)
"""Errors that end only their own recipe; a full disk ends the comparison."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Outcomes in the order of the recipes, numbers of patients, and the threads of the timing."""

    outcomes: tuple[Outcome, ...]
    trained: int
    judged: int
    threads: int


def compare(
    recipes: Sequence[str],
    studies: Path,
    *,
    out: Path,
    images: int,
    at_most_px: int | None = None,
    patients: Path | None = None,
    repeats: int = 20,
    on_progress: Progress = lambda done, total, what: None,
) -> Comparison:
    """Compare recipes; run again to continue after an interruption, or with more recipes.

    All share patients, budget, seed and the choice of weights, whatever their files say of these. Each has
    its run, masks and evaluation in ``out/<recipe>``. An unusable recipe costs only its own row.

    Parameters
    ----------
    recipes : sequence of str
        Names, or paths of ``.toml`` files.
    studies : Path
        A studies folder with ``labels/final``.
    out : Path
        Created where missing.
    images : int
        Budget of each recipe in training images.
    at_most_px : int, optional
        Inputs larger than this are shrunk to it, to train in less time; each network's time is always that at
        the recipe's own size. Not for recipes whose pixels have a fixed size.
    patients : Path, optional
        A text file of the patients to judge by; otherwise those that the official split holds back.
    repeats : int
        How often each network is timed.
    on_progress : callable
        Told images of the whole budget done and in all, and what is being done.

    Raises
    ------
    DatasetError
        Nobody to judge by, a recipe named twice, or ``out`` was started otherwise.
    OSError
        ``out`` cannot be written.
    """
    names = [Path(recipe).stem if recipe.endswith(".toml") else recipe for recipe in recipes]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        raise DatasetError(f"recipe {twice[0]} is given twice" if twice else "no recipe is given")
    budget = _Budget(images, at_most_px)
    data = _patients(studies, out, patients)
    for name, path in zip(names, recipes, strict=True):
        _check_begun(name, path, out / name, budget)
    outcomes = []
    for index, (name, path) in enumerate(zip(names, recipes, strict=True)):

        def show(seen: int, what: str, name: str = name, before: int = index * images) -> None:
            on_progress(before + seen, images * len(recipes), f"{name}: {what}")

        try:
            recipe = training_recipe.read(path)
            outcomes.append(_run(budget.of(recipe), recipe.form.size_px, data, out / name, show))
        except _COSTS_ITS_ROW as error:
            logger.debug("recipe %s cannot be compared: %s", name, error)
            reason = " ".join(str(error).split()) or type(error).__name__
            outcomes.append(Outcome(name, reason=reason))
    whole = images * len(recipes)
    timed = _timed(outcomes, out, repeats, lambda text: on_progress(whole, whole, text))
    return Comparison(timed, len(data.trained), len(data.judged), torch.get_num_threads())


@dataclass(frozen=True)
class _Budget:
    """Budget and settings that all recipes share."""

    images: int
    at_most_px: int | None

    def of(self, recipe: TrainingRecipe) -> TrainingRecipe:
        """Return the recipe within this budget."""
        size, limit = recipe.form.size_px, self.at_most_px
        if limit and size > limit and recipe.form.pixel_mm:
            raise DatasetError(
                f"recipe {recipe.name}: its pixels have a fixed size, {limit} show less of the heart"
            )
        shrunk = limit if limit and size > limit else recipe.size_px
        return replace(recipe, images=self.images, size_px=shrunk, selection=_SELECTION, seed=0)


def _check_begun(name: str, path: str, run: Path, budget: _Budget) -> None:
    """Refuse a folder with a run of the recipe under other settings."""
    stored = run / "recipe.json"
    if not stored.exists():
        return
    try:
        settings = json.loads(json.dumps(asdict(budget.of(training_recipe.read(path)))))
    except _COSTS_ITS_ROW:
        return  # its row will say so
    if json.loads(stored.read_text(encoding="utf-8")) != settings:
        raise DatasetError(
            f"{run}: recipe {name} was started with other settings; delete it or give another --out"
        )


@dataclass(frozen=True, eq=False)
class _Data:
    """Data that every recipe is trained and evaluated on."""

    studies: Path
    labels: Path
    records: list[Record]
    trained: tuple[str, ...]
    judged: tuple[str, ...]
    listed: Path


def _patients(studies: Path, out: Path, patients: Path | None) -> _Data:
    labels = StudiesLayout(studies).final
    records = labelled_records(manifest.scan(studies), labels)
    requested = read_patient_list(patients) if patients else frozenset()
    drawn = draw(records, selection=_SELECTION, seed=0, held_back=requested)
    if not drawn.held_back:
        raise DatasetError(
            f"{studies}: no patient to judge by; its manifest has no split VAL or TEST: "
            "give a list of patients (--patients)"
        )
    out.mkdir(parents=True, exist_ok=True)
    split = frozen(out / "split.json", drawn)
    judged = tuple(sorted(requested)) or split.held_back
    listed = out / "judged.txt"
    lines = "".join(f"{patient}\n" for patient in judged)
    if listed.exists() and listed.read_text(encoding="utf-8") != lines:
        raise DatasetError(f"{out}: started with other patients to judge by; give another --out")
    with atomic(listed) as draft:
        draft.write_text(lines, encoding="utf-8")
    if read_patient_list(listed) != set(judged):
        raise DatasetError(
            f"{studies}: a patient's name holds a blank, comma, semicolon or '#', which separate names"
            " in lists of patients; rename it in the manifest"
        )
    return _Data(studies, labels, records, (*split.training, *split.selection), judged, listed)


def _run(
    recipe: TrainingRecipe, own_px: int, data: _Data, run: Path, show: Callable[[int, str], None]
) -> Outcome:
    """Train, predict and evaluate one recipe, or what is left of that."""
    done = run / "outcome.json"
    if done.exists():
        return Outcome(**json.loads(done.read_text(encoding="utf-8")))
    run.mkdir(parents=True, exist_ok=True)
    _write_json(run / "recipe.json", asdict(recipe))

    def training(progress: FitProgress) -> None:
        show(progress.images, f"training, loss {progress.loss:.3f}")

    views, patients = recipe.form.views, set(data.judged)
    aside = {record.patient for record in data.records if record.patient in patients and record.view in views}
    trained = train(
        recipe,
        data.records,
        data.labels,
        out=run,
        version="comparison",
        licence="as the training data",
        trained_on=readable_text(data.studies.resolve().name),
        held_back=aside,
        cache=run.parent / "samples",
        on_reading=lambda read, total: show(0, f"reading {read} of {total}"),
        on_progress=training,
    )
    predictor = Predictor.load(recipe.name, run)
    write_model_note(predictor, run)
    _predict(predictor, data, run, lambda text: show(recipe.images, text))
    judged = evaluate(StudiesLayout(run).labels, data.studies, patients=data.listed)
    network, _ = load_model(recipe.name, run)
    outcome = Outcome(
        recipe.name,
        recipe.source,
        recipe.network,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        input_px=recipe.form.size_px,
        timed_px=own_px,
        begins_with="ImageNet" if recipe.arguments.get("pretrained") else "random",
        images=trained.state.steps * recipe.batch,
        training_minutes=trained.state.seconds / 60,
        **quality(write_evaluation(judged, run / "evaluation")),
    )
    _write_json(done, asdict(outcome))
    (run / "checkpoint.pt").unlink(missing_ok=True)
    return outcome


def _predict(predictor: Predictor, data: _Data, out: Path, show: Callable[[str], None]) -> None:
    """Predict the evaluation patients; an unreadable image has no mask, which its evaluation states."""
    patients = set(data.judged)
    records = [
        record
        for record in data.records
        if record.patient in patients and record.view in predictor.recipe.views
    ]
    records.sort(key=lambda record: record.patient)
    of_patients = [list(own) for _, own in groupby(records, key=lambda record: record.patient)]
    for _ in infer_patients(
        of_patients,
        predictor,
        Options(out, resume=True),
        on_image=lambda done: show(f"predicting {done} of {len(records)}"),
    ):
        pass


def _timed(
    outcomes: Sequence[Outcome], out: Path, repeats: int, show: Callable[[str], None]
) -> tuple[Outcome, ...]:
    networks = {"": (build(REFERENCE, {"out_channels": 4}).eval(), REFERENCE_PX)}
    for outcome in outcomes:
        if size := outcome.timed_px or outcome.input_px:
            try:
                network, _ = load_model(outcome.recipe, out / outcome.recipe)
            except ModelError as error:
                logger.warning("recipe %s is not timed: %s", outcome.recipe, error)
                continue
            networks[outcome.recipe] = network, size
    taken = time_networks(
        networks, repeats=repeats, on_progress=lambda done, rounds: show(f"timing {done} of {rounds}")
    )
    return tuple(
        replace(outcome, ms_per_frame=taken[outcome.recipe], ratio=taken[outcome.recipe] / taken[""])
        if outcome.recipe in taken
        else outcome
        for outcome in outcomes
    )


def _write_json(path: Path, content: object) -> None:
    with atomic(path) as draft:
        draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
