"""Simulation of strategies: each chooses patients, a model learns from their labels, others judge it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cardiolabel.active_learning.diversity import thumbnail
from cardiolabel.active_learning.patient_score import ScoringImage, score_patient
from cardiolabel.active_learning.selection import Candidate, rank, stratum_of
from cardiolabel.domain import Convention, Record
from cardiolabel.experiments.simulation.settings import Settings, begin, pool_of
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io.files import atomic
from cardiolabel.io.images import read_image
from cardiolabel.preprocessing.recipes import Recipe
from cardiolabel.records import manifest
from cardiolabel.records.layout import StudiesLayout, labelled_records
from cardiolabel.system.readable_text import readable_text
from cardiolabel.training import training_recipe
from cardiolabel.training.fit import FitProgress
from cardiolabel.training.retraining.figures import figures
from cardiolabel.training.train import train
from cardiolabel.training.training_recipe import TrainingRecipe
from cardiolabel.uncertainty.calibration import whole_spread_pct

Progress = Callable[[int, int, str], None]

FULL = "all patients"
"""Name of the model trained on all patients, in place of a strategy."""

_NO_MODEL = frozenset({"random", "stratified", "diversity"})
"""Strategies without scores."""


@dataclass(frozen=True)
class Outcome:
    """A model trained on a strategy's patients, evaluated on patients that no strategy may choose.

    By patient, ``dice``: mean over structures; ``lv_dice``: the LV cavity alone; ``ef_error_pct``: absolute,
    in points. ``chosen`` are its training patients. ``training_s`` is the time of its last step.
    """

    strategy: str
    seed: int
    patients: int
    chosen: tuple[str, ...]
    dice: dict[str, float]
    lv_dice: dict[str, float]
    ef_error_pct: dict[str, float]
    training_s: float


def simulate(
    recipe_name: str,
    studies: Path,
    *,
    out: Path,
    settings: Settings | None = None,
    on_progress: Progress = lambda done, total, what: None,
) -> list[Outcome]:
    """Simulate active learning; run again to continue after an interruption.

    Each model continues from that of the previous budget, as a server's retraining does. All strategies of a
    seed start with the same model. A chosen patient is labelled as a whole. The model of all patients sees as
    many images as those of the largest budget.

    Parameters
    ----------
    recipe_name : str
        Training recipe of every step.
    studies : Path
        A studies folder with ``labels/final`` and an official split; what that holds back is reported on.
    out : Path
        Created where missing: a folder for each model, and what it was worth.
    settings : Settings, optional
    on_progress : callable
        Told models done, models in all and what is being done.

    Raises
    ------
    DatasetError
        Too few patients, or ``out`` was started otherwise.
    OSError
        ``out`` cannot be written.
    """
    chosen = settings or Settings()
    recipe = training_recipe.read(recipe_name)
    recipe = replace(recipe, size_px=chosen.size_px or recipe.size_px)
    records = labelled_records(manifest.scan(studies), StudiesLayout(studies).final, recipe.form.views)
    pool, _ = pool_of(records, chosen)
    out.mkdir(parents=True, exist_ok=True)
    begin(out, recipe_name, studies, pool, chosen)
    run = _Simulation(recipe, records, pool, studies, out, chosen, on_progress)
    for seed in chosen.seeds:
        for strategy in chosen.strategies:
            run.play(strategy, seed)
        run.play_all(seed)
    return run.outcomes


@dataclass(frozen=True)
class _Model:
    """A model, identified by its training patients; strategies that chose the same share it."""

    folder: Path
    chosen: tuple[str, ...]

    @classmethod
    def after(cls, before: _Model | None, chosen: tuple[str, ...], folder: Path) -> _Model:
        history = f"{before.folder.name if before else ''} {json.dumps(sorted(chosen))}"
        return cls(folder / f"{len(chosen)}-{hashlib.sha256(history.encode()).hexdigest()[:12]}", chosen)


class _Simulation:
    """A simulation and its models."""

    def __init__(
        self,
        recipe: TrainingRecipe,
        records: Sequence[Record],
        pool: Sequence[str],
        studies: Path,
        out: Path,
        settings: Settings,
        on_progress: Progress,
    ) -> None:
        self._recipe, self._studies, self._out, self._settings = recipe, studies, out, settings
        self._records: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            self._records[record.patient].append(record)
        self._pool = pool
        self._judges = [record for record in records if record.patient not in set(pool)]
        self._on_progress = on_progress
        self._candidates = {patient: _candidate(self._records[patient], recipe.form) for patient in pool}
        self._total = len(settings.seeds) * (len(settings.strategies) * len(settings.budgets) + 1)
        self.outcomes: list[Outcome] = []

    def play(self, strategy: str, seed: int) -> None:
        """Run one strategy through all budgets."""
        model: _Model | None = None
        for budget in self._settings.budgets:
            chosen = self._grown(strategy, seed, model, budget)
            model = self._learned(strategy, seed, chosen, model)

    def play_all(self, seed: int) -> None:
        """Train on all patients, with as many images as the other models see in the end."""
        images = self._settings.images * len(self._settings.budgets)
        self._learned(FULL, seed, tuple(self._pool), None, images=images)

    def _grown(self, strategy: str, seed: int, model: _Model | None, budget: int) -> tuple[str, ...]:
        """Return the patients of a model, and more up to a budget."""
        path = self._out / "choices" / f"{strategy}-{seed}-{budget}.json"
        if path.exists():
            return tuple(json.loads(path.read_text(encoding="utf-8")))
        chosen = model.chosen if model else ()
        left = [self._candidates[patient] for patient in self._pool if patient not in set(chosen)]
        if model is None and not (self._settings.own_start and strategy in {*_NO_MODEL, "hybrid"}):
            strategy = "random"
        if model and strategy not in _NO_MODEL:
            left = self._scored(left, seed, model, least=budget - len(chosen))
        done = [self._candidates[patient] for patient in chosen]
        ranked = rank(strategy, left, labelled=done, seed=seed)
        grown = (*chosen, *(choice.patient for choice in ranked[: budget - len(chosen)]))
        with atomic(path) as draft:
            draft.write_text(json.dumps(grown) + "\n", encoding="utf-8")
        return grown

    def _scored(self, left: list[Candidate], seed: int, model: _Model, *, least: int) -> list[Candidate]:
        """Return the candidates, or a sample of them, with their scores; each is scored once per model."""
        if (most := self._settings.scored) is not None:
            drawn = rank("random", left, seed=seed + len(model.chosen))[: max(most, least)]
            left = [self._candidates[choice.patient] for choice in drawn]
        stored = model.folder / "scores.json"
        scores = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else {}
        predictor = Predictor.load(self._recipe.name, model.folder, keep=False)
        for done, waiting in enumerate(left, start=1):
            if waiting.patient not in scores:
                self._tell(f"seed {seed}, {len(model.chosen)} patients: scoring {done} of {len(left)}")
                scores[waiting.patient] = self._score(waiting.patient, predictor)
        with atomic(stored) as draft:
            draft.write_text(json.dumps(scores) + "\n", encoding="utf-8")
        return [replace(candidate, **scores[candidate.patient]) for candidate in left]

    def _score(self, patient: str, predictor: Predictor) -> dict[str, Any]:
        images = [ScoringImage(record, read_image(record.path)) for record in self._records[patient]]
        score = score_patient(images, predictor, conventions=(Convention.GUIDELINE,))
        entropies = [image.entropy for image in score.images if image.entropy is not None]
        best = score.best()
        return {
            "entropy": float(np.mean(entropies)),
            "ef_spread_pct": whole_spread_pct(best[1].spread_pct) if best else None,
            "reason": score.reason,
        }

    def _learned(
        self,
        strategy: str,
        seed: int,
        chosen: tuple[str, ...],
        before: _Model | None,
        *,
        images: int | None = None,
    ) -> _Model:
        """Return a model that continues with the chosen patients, evaluated; models of other strategies are
        reused.
        """
        model = _Model.after(before, chosen, self._out / "models" / str(seed))
        stored = model.folder / "outcome.json"
        if not stored.exists():
            outcome = self._trained(strategy, seed, model, before, images or self._settings.images)
            with atomic(stored) as draft:
                draft.write_text(json.dumps(asdict(outcome)) + "\n", encoding="utf-8")
        fields = json.loads(stored.read_text(encoding="utf-8"))
        self.outcomes.append(Outcome(**{**fields, "strategy": strategy, "chosen": chosen}))
        self._tell("")
        return model

    def _trained(
        self, strategy: str, seed: int, model: _Model, before: _Model | None, images: int
    ) -> Outcome:
        what = f"{strategy}, seed {seed}, {len(model.chosen)} patients"

        def show(progress: FitProgress) -> None:
            self._tell(f"{what}: training {progress.images} of {progress.budget}")

        records = [record for patient in model.chosen for record in self._records[patient]]
        trained = train(
            replace(self._recipe, seed=seed, images=images),
            records,
            StudiesLayout(self._studies).final,
            out=model.folder,
            version="simulated",
            trained_on=readable_text(self._studies.resolve().name),
            licence="as the training data",
            start=before.folder if before else None,
            on_progress=show,
        )
        self._tell(f"{what}: judging")
        result = figures(
            Predictor.load(self._recipe.name, model.folder, keep=False), self._judges, self._studies
        )
        for left_over in (*model.folder.glob("samples-*.pt"), model.folder / "checkpoint.pt"):
            left_over.unlink(missing_ok=True)
        shutil.rmtree(model.folder / "tensorboard", ignore_errors=True)
        return Outcome(
            strategy,
            seed,
            len(model.chosen),
            model.chosen,
            result.dice,
            result.lv_dice,
            result.ef_error_pct,
            trained.state.seconds,
        )

    def _tell(self, what: str) -> None:
        self._on_progress(len(self.outcomes), self._total, what)


def _candidate(records: Sequence[Record], recipe: Recipe) -> Candidate:
    """Make a candidate without scores."""
    embeddings = []
    for record in records:
        clip = read_image(record.path).clip
        frames = recipe.frames(clip, recipe.placement(clip))
        embeddings.append(thumbnail(frames[len(frames) // 2, 0]))
    return Candidate(records[0].patient, stratum=stratum_of(records), embedding=np.mean(embeddings, axis=0))
