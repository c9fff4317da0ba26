"""Retraining on corrections, to a better published model or the reason for keeping the present one."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from cardiolabel.domain import Record
from cardiolabel.errors import BusyError, CardiolabelError, DatasetError
from cardiolabel.evaluation.ef_intervals import calibrate_card
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io.files import atomic
from cardiolabel.models.average import average_models
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.models.models import SOURCES
from cardiolabel.models.versions import Versions
from cardiolabel.networks.weights import ModelCard, read_card, write_card
from cardiolabel.records.layout import FINAL, StudiesLayout, file_of, labelled_records
from cardiolabel.records.patient_split import HELD_BACK
from cardiolabel.studies.studies import Studies
from cardiolabel.system.file_cache import file_state
from cardiolabel.system.readable_text import readable_text
from cardiolabel.training import training_recipe
from cardiolabel.training.fit import FitProgress, FitState
from cardiolabel.training.retraining.promotion import Verdict, judge
from cardiolabel.training.retraining.settings import Settings
from cardiolabel.training.retraining.status import FOLDER, LOCK, STATUS, Status
from cardiolabel.training.retraining.validation_set import NAME as VALIDATION_NAME
from cardiolabel.training.retraining.validation_set import extend_stored
from cardiolabel.training.train import train
from cardiolabel.training.training_recipe import TrainingRecipe

_EVERY_S = 1.0
_LOOKED_AT_S = 1.0
"""Seconds to wait for a reader of the status, who holds the lock for a moment."""

_SELECTION = 0.1
"""Share of the training patients that select the weights."""


def retrain(
    model: str,
    studies: Path,
    weights: ModelFolders | Path,
    *,
    settings: Settings | None = None,
    base: Path | None = None,
    on_progress: Callable[[Status], None] = lambda status: None,
) -> Status:
    """Train on the final labels of a studies folder, and publish the model if it is no worse.

    Training starts from the published model. The trained model and its average with the published one are
    both judged. After an interruption, the same call on the same labels continues.

    Parameters
    ----------
    model : str
        One of `SOURCES` that has weights of its own.
    studies : Path
        Its validation patients are in ``.cardiolabel/validation.json``, and are never trained on.
    weights : Path
        Folder of the published models.
    settings : Settings, optional
    base : Path, optional
        Studies folder that the published model was trained on: half of what is seen, so that it is not
        forgotten. Its held-back patients, and patients of ``studies``, are left out.
    on_progress : callable
        Told about every second, and at the end.

    Returns
    -------
    Status
        ``published`` or ``refused``, and why.

    Raises
    ------
    BusyError
        This model is being retrained.
    DatasetError
        There is nothing to train on.
    StaleModelError
        Another version was published meanwhile.
    MissingWeightsError, CorruptWeightsError
        The published model cannot be used.
    OSError
        The disk is full or a folder cannot be written; the published model stays as it is.
    """
    run = _Run(model, studies, weights, settings or Settings(), base, on_progress)
    with run.alone():
        try:
            run.go()
        except BaseException as error:
            run.fail(error)
            raise
    return run.status


class _Run:
    """A retraining with its status."""

    def __init__(
        self,
        model: str,
        studies: Path,
        weights: ModelFolders | Path,
        settings: Settings,
        base: Path | None,
        on_progress: Callable[[Status], None],
    ) -> None:
        self._recipe = _recipe(model, settings)
        self._model, self._studies, self._weights, self._settings = model, studies, weights, settings
        self._base = base
        self._folder = ModelFolders.of(weights).published / FOLDER / model
        self._on_progress = on_progress
        self._said_s = 0.0
        self.status = Status(model, settings=asdict(settings), begun_at=_now())

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock that keeps other processes from retraining this model."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._folder / LOCK, timeout=_LOOKED_AT_S):
                yield
        except Timeout:
            raise BusyError(f"{self._model} is being retrained already; wait for it or stop it") from None

    def go(self) -> None:
        self._say(force=True)
        versions = Versions(self._weights)
        served = versions.served(self._model)
        published = versions.folder(self._model, served)
        before = read_card(self._model, published)
        self._recipe = replace(self._recipe, size_px=before.size_px)
        records, labels = self._labelled(self._studies)
        if not records:
            views = ", ".join(sorted(self._recipe.form.views))
            raise DatasetError(f"no final label of an image of view {views}: correct and submit some first")
        patients = extend_stored(StudiesLayout(self._studies).home / VALIDATION_NAME, records)
        judged = [record for record in records if record.split_unit in set(patients.validation)]
        learned = [record for record in records if record.split_unit not in set(patients.validation)]
        self.status.training_patients = len({record.patient for record in learned})
        self.status.validation_patients = len({record.patient for record in judged})
        fingerprint = _fingerprint(learned, labels)
        rehearsed = self._rehearsed({record.split_unit for record in records})
        if rehearsed:
            fingerprint = _digest([fingerprint, _fingerprint(*rehearsed)])
        trained = self._train(learned, labels, rehearsed, published, before, fingerprint)
        candidates = {"trained": trained}
        if not self._settings.from_scratch:
            candidates["averaged"] = trained / "average"
            average_models(
                self._model, [published, trained], out=candidates["averaged"], version=_version(before)
            )
        verdict = self._judge(published, candidates, judged)
        self.status.verdict, self.status.reason = verdict.as_dict(), verdict.reason
        if verdict.promoted:
            self._calibrate(candidates[verdict.candidate], judged, before)
            note = {
                "published_at": _now(),
                "why": f"retrained: {verdict.reason}",
                "instead_of": served,
                "data": fingerprint,
                "studies": readable_text(self._studies.resolve().name),
                "training_patients": self.status.training_patients,
                "curve": self.status.curve,
                **verdict.as_dict(),
            }
            made = versions.publish(self._model, candidates[verdict.candidate], note=note, instead_of=served)
            self.status.version = made.number
        self._say("published" if verdict.promoted else "refused", force=True)

    def fail(self, error: BaseException) -> None:
        """Write the reason of the failure to the status, if possible."""
        stopped = not isinstance(error, Exception)
        reason = str(error) if isinstance(error, CardiolabelError) else f"{type(error).__name__}: {error}"
        self.status.reason = "it was stopped; start it again to go on" if stopped else reason
        try:
            self._say("failed", force=True)
        except OSError:
            return

    def _labelled(self, studies: Path) -> tuple[list[Record], Path]:
        """Return the images to learn from, and the folder of their labels."""
        labels = StudiesLayout(studies).final
        return labelled_records(Studies(studies).records(), labels, self._recipe.form.views), labels

    def _rehearsed(self, patients: Collection[str]) -> tuple[list[Record], Path] | None:
        """Return the images that the published model was trained on, without these patients."""
        if self._base is None or self._settings.from_scratch:
            return None
        records, labels = self._labelled(self._base)
        records = [
            record
            for record in records
            if record.split not in HELD_BACK and record.split_unit not in patients
        ]
        if not records:
            raise DatasetError(f"{self._base}: no final label of a patient in training to rehearse")
        return records, labels

    def _train(
        self,
        records: list[Record],
        labels: Path,
        rehearsed: tuple[list[Record], Path] | None,
        published: Path,
        before: ModelCard,
        fingerprint: str,
    ) -> Path:
        """Train in a folder of this data and model, or continue there."""
        out = self._folder / _digest(
            [before.sha256, fingerprint, asdict(self._recipe), asdict(self._settings)]
        )
        for other in self._folder.iterdir():
            if other.is_dir() and other != out:
                shutil.rmtree(other)

        def reading(done: int, total: int) -> None:
            self.status.done, self.status.total = done, total
            self._say("reading")

        def training(progress: FitProgress) -> None:
            status = self.status
            status.done, status.total, status.loss = progress.images, progress.budget, _finite(progress.loss)
            status.epoch = round(self._settings.epochs * progress.images / progress.budget, 2)
            left = progress.budget - progress.images
            status.eta_s = round(progress.seconds / progress.images * left, 1)
            self._say("training")

        def judged(state: FitState) -> None:
            self.status.curve = [[_finite(value) for value in point] for point in state.curve]

        trained = train(
            self._recipe,
            records,
            labels,
            out=out,
            version=_version(before),
            licence=before.licence,
            trained_on=readable_text(self._studies.resolve().name),
            start=None if self._settings.from_scratch else published,
            rehearsed=rehearsed,
            epochs=self._settings.epochs,
            device=self._settings.device or None,
            on_reading=reading,
            on_progress=training,
            on_judged=judged,
        )
        self.status.skipped = [list(pair) for pair in trained.skipped]
        return out

    def _judge(self, published: Path, candidates: Mapping[str, Path], records: list[Record]) -> Verdict:
        def judging(done: int, total: int) -> None:
            self.status.done, self.status.total, self.status.eta_s = done, total, None
            self._say("judging")

        loaded = {name: Predictor.load(self._model, folder) for name, folder in candidates.items()}
        old = Predictor.load(self._model, published)
        return judge(old, loaded, records, self._studies, on_progress=judging)

    def _calibrate(self, folder: Path, records: list[Record], before: ModelCard) -> None:
        """Calibrate EF intervals; with too few patients to judge by, there are none."""

        def calibrating(done: int, total: int) -> None:
            self.status.done, self.status.total, self.status.eta_s = done, total, None
            self._say("calibrating")

        write_card(
            replace(
                read_card(self._model, folder), pictures=before.pictures, views=before.views, intervals={}
            ),
            folder=folder,
        )
        references = Studies(self._studies, label_folders={FINAL: StudiesLayout(self._studies).final})
        calibrate_card(self._model, folder, records, references, on_progress=calibrating)

    def _say(self, state: str | None = None, *, force: bool = False) -> None:
        if not force and state == self.status.state and time.monotonic() - self._said_s < _EVERY_S:
            return
        self._said_s = time.monotonic()
        self.status.state = state or self.status.state
        self.status.changed_at = _now()
        with atomic(self._folder / STATUS) as draft:
            draft.write_text(json.dumps(asdict(self.status)) + "\n", encoding="utf-8")
        self._on_progress(self.status)


def _recipe(model: str, settings: Settings) -> TrainingRecipe:
    """Return the recipe of a model, with a lower learning rate unless it starts from scratch."""
    if model not in SOURCES or SOURCES[model].shares:
        own = ", ".join(name for name, source in SOURCES.items() if not source.shares)
        raise DatasetError(f"model {model!r} is not retrained by itself; expected one of {own}")
    recipe = training_recipe.read(model)
    recipe = replace(recipe, selection=_SELECTION)
    if settings.from_scratch:
        return recipe
    return replace(recipe, learning_rate=settings.learning_rate, ema_decay=0.99)


def _fingerprint(records: list[Record], labels: Path) -> str:
    """Return a hash of images and labels."""
    files = [
        (record.image_id, file_state(record.path)[1:], file_state(file_of(labels, record.image_id))[1:])
        for record in records
    ]
    return _digest(sorted(files))


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()[:16]


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _version(before: ModelCard) -> str:
    """Return the version of a model that is retrained now, such as ``2.2.0+20261121.2130``."""
    return f"{before.version.partition('+')[0]}+{datetime.now(UTC):%Y%m%d.%H%M}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
