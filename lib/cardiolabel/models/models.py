"""Models by name, loaded on first use."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cardiolabel.domain import LabelSet, Record, View
from cardiolabel.errors import CardiolabelError, CorruptWeightsError, ImageContentError, InputError
from cardiolabel.inference.predictor import Predictor
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.models.versions import Versions
from cardiolabel.preprocessing.recipes import RECIPES
from cardiolabel.system.file_cache import FileState

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelSource:
    """Weights, recipe and structures of a model.

    Parameters
    ----------
    name : str
    recipe : str
        A recipe that tells its labels and views. Weights of another recipe for the same views will do, if
        they give these structures.
    shares : str
        The model whose weights it uses as long as there are none of its own name.
    keeps : tuple of str
        Structures of the recipe that its masks hold; all of them where empty.
    """

    name: str
    recipe: str
    shares: str = ""
    keeps: tuple[str, ...] = ()

    @property
    def labels(self) -> LabelSet:
        """Meaning of the mask values."""
        labels = RECIPES[self.recipe].labels
        pairs = tuple(pair for pair in labels.values if not self.keeps or pair[0] in self.keeps)
        return LabelSet(self.name, pairs)

    @property
    def views(self) -> tuple[View, ...]:
        """Views that the model segments."""
        return tuple(view for view in View if view in RECIPES[self.recipe].views)

    def weights(self, folders: ModelFolders | Path) -> str:
        """Name of the weights file, without suffix."""
        own = not self.shares or Versions(folders).exist(self.name)
        return self.name if own else self.shares


SOURCES = {
    source.name: source
    for source in (
        ModelSource("camus", "camus"),
        ModelSource("echonet", "camus", shares="camus", keeps=("lv_cavity",)),
        ModelSource("sunnybrook", "sax"),
        ModelSource("acdc", "sax", shares="sunnybrook"),
        ModelSource("landmarks", "landmarks"),
    )
}
"""Models of this package by name."""


def load(name: str, folders: ModelFolders | Path) -> Predictor:
    """Load one model of `SOURCES`, or of any other name with weights in the folder.

    Raises
    ------
    MissingWeightsError, CorruptWeightsError
        As `Predictor.load`.
    """
    source = SOURCES.get(name)
    if source:
        return Models([source], folders).named(name)
    return Predictor.load(name, Versions(folders).folder(name))


def check_view(name: str, views: Iterable[View], record: Record) -> None:
    """Raise `ImageContentError` if a model does not segment an image's view."""
    if record.view not in views:
        allowed = ", ".join(view for view in View if view in views)
        raise ImageContentError(
            f"model {name} is for images of view {allowed}; {record.image_id} is of view {record.view}"
            + ("; set it in manifest.csv" if record.view is View.UNKNOWN else "")
        )


class Models:
    """Predictors by name, in order; safe to use from several threads.

    Weights are loaded on first use, and looked for again while they are missing. Models of the same weights
    share one network. A newly published version is loaded in the background and used from then on.

    Parameters
    ----------
    sources : iterable of ModelSource
        The models, those that are preferred first.
    folders : ModelFolders or Path
        Folders of weights files.
    """

    def __init__(self, sources: Iterable[ModelSource] = (), folders: ModelFolders | Path = Path()) -> None:
        self._sources = {source.name: source for source in sources}
        self._folders = ModelFolders.of(folders)
        self._versions = Versions(folders)
        self._ready: dict[str, Predictor] = {}
        self._networks: dict[str, Predictor] = {}
        self._served: dict[str, FileState | None] = {}
        self._lock, self._following = threading.Lock(), threading.Lock()

    @classmethod
    def of(cls, *predictors: Predictor) -> Models:
        """Collect predictors that are already loaded."""
        made = cls(ModelSource(predictor.card.name, predictor.card.recipe) for predictor in predictors)
        made._ready = {predictor.card.name: predictor for predictor in predictors}
        return made

    @property
    def folders(self) -> ModelFolders:
        """Folders of weights files."""
        return self._folders

    @property
    def names(self) -> tuple[str, ...]:
        """All models, loaded or not."""
        return tuple(self._sources)

    def named(self, name: str) -> Predictor:
        """Return a model by name.

        Raises
        ------
        InputError
            There is no such model.
        MissingWeightsError, CorruptWeightsError
            It cannot be used; nothing else is used instead.
        """
        if name not in self._sources:
            raise InputError(f"no model {name!r}; there are: {', '.join(self._sources) or 'none'}")
        if name not in self._ready:
            with self._lock:
                if name not in self._ready:
                    self._ready[name] = self._load(self._sources[name], self._networks, self._served)
        self._follow()
        return self._ready[name]

    def for_record(self, record: Record, model: str | None = None) -> Predictor:
        """Return the requested model, else the first one for the record's view.

        Raises
        ------
        ImageContentError
            No model, or not this one, is for that view.
        InputError, MissingWeightsError, CorruptWeightsError
            As `named`.
        """
        if model is not None and model in self._sources:
            check_view(model, self._sources[model].views, record)
        return self.named(model or self._first(record))

    def loaded_for(self, record: Record, model: str | None = None) -> Predictor | None:
        """Return a model as `for_record` without loading any; None where that would load one or fail."""
        try:
            return self._ready.get(model or self._first(record))
        except ImageContentError:
            return None

    def is_loaded(self, name: str) -> bool:
        """Return whether a model's weights have been read."""
        return name in self._ready

    def engine_name(self, name: str) -> str | None:
        """Return the name of a model's engine; None until its weights are loaded."""
        ready = self._ready.get(name)
        return ready.engine.name if ready else None

    def reload(self) -> None:
        """Reload the weights of all loaded models; if one fails, those in use stay.

        Raises
        ------
        MissingWeightsError, CorruptWeightsError
            As `named`.
        """
        with self._lock:
            networks: dict[str, Predictor] = {}
            served: dict[str, FileState | None] = {}
            ready = {name: self._load(self._sources[name], networks, served) for name in self._ready}
            self._ready, self._networks, self._served = ready, networks, served

    def _follow(self) -> None:
        """Load versions published since, in the background."""
        if not self._networks:  # they were given, not read
            return
        names = {self._sources[name].weights(self._folders) for name in tuple(self._ready)}
        now = {weights: self._versions.state(weights) for weights in names}
        if now == self._served or not self._following.acquire(blocking=False):
            return

        def follow() -> None:
            try:
                self.reload()
            except (CardiolabelError, OSError) as error:
                self._served = now  # not again until yet another is served
                logger.warning("the models go on as they were: %s", error)
            finally:
                self._following.release()

        threading.Thread(target=follow, name="models", daemon=True).start()

    def _first(self, record: Record) -> str:
        """Return the name of the first model for a record's view."""
        for name, source in self._sources.items():
            if record.view in source.views:
                return name
        if not self._sources:
            raise ImageContentError("no model is loaded")
        images = "images of an unknown view" if record.view is View.UNKNOWN else f"{record.view} images"
        raise ImageContentError(f"no loaded model segments {images}; loaded: {', '.join(self._sources)}")

    def _load(
        self, source: ModelSource, networks: dict[str, Predictor], served: dict[str, FileState | None]
    ) -> Predictor:
        weights = source.weights(self._folders)
        if weights not in networks:
            served[weights] = self._versions.state(weights)
            networks[weights] = Predictor.load(weights, self._versions.folder(weights))
        network = networks[weights]
        same_views = network.recipe.views == RECIPES[source.recipe].views
        if not (same_views and set(source.labels.values) <= set(network.labels.values)):
            raise CorruptWeightsError(
                f"{weights}.json is of recipe {network.card.recipe}, which does not give what model"
                f" {source.name} is for: {', '.join(source.labels.as_dict())}"
            )
        structures = tuple(source.labels.as_dict())
        if source.name == weights and structures == tuple(network.labels.as_dict()):
            return network
        return network.only(structures, name=source.name)
