"""Training recipes: declarative TOML files, one per published project and one of this project per data
set.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from cardiolabel.errors import DatasetError
from cardiolabel.networks.registry import NETWORKS
from cardiolabel.preprocessing.augmentation import AUGMENTATIONS
from cardiolabel.preprocessing.recipes import RECIPES, Recipe
from cardiolabel.training.optimizers import OPTIMIZERS, SCHEDULES
from cardiolabel.training.targets import TARGETS

FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class TrainingRecipe:
    """Settings of a training.

    ``input`` names the preprocessing recipe, which inference uses as well; ``size_px`` another side of its
    square input; ``images`` is the budget in training images; ``selection`` the share of training patients
    that only select the weights (0: the last average is kept). ``source`` says whose recipe it is and where
    this differs from the publication.
    """

    name: str
    source: str
    input: str
    network: str
    images: int
    arguments: dict[str, Any] = field(default_factory=dict)
    size_px: int | None = None
    loss: str = "dice+ce"
    optimizer: str = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    schedule: str = "cosine"
    warmup: float = 0.02
    augmentation: str = "echo"
    batch: int = 12
    ema_decay: float = 0.996
    selection: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        for what, name, allowed in (
            ("input", self.input, RECIPES),
            ("network", self.network, NETWORKS),
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("schedule", self.schedule, SCHEDULES),
            ("augmentation", self.augmentation, AUGMENTATIONS),
        ):
            self._check(what, name, allowed)
        self._check("loss", self.loss, TARGETS[self.form.output].losses)
        if min(self.images, self.batch, self.form.size_px) < 1 or not self.learning_rate > 0:
            raise DatasetError(f"recipe {self.name}: images, batch, size_px, learning_rate must be positive")

    def _check(self, what: str, name: str, allowed: Collection[str]) -> None:
        if name not in allowed:
            raise DatasetError(f"recipe {self.name}: no {what} {name!r}; there are: {', '.join(allowed)}")

    @property
    def form(self) -> Recipe:
        """The preprocessing recipe with this size."""
        return RECIPES[self.input].sized(self.size_px)


def names() -> list[str]:
    """List the recipes of this package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read(name: str) -> TrainingRecipe:
    """Read a recipe by its name, or by the path of a ``.toml`` file.

    Raises
    ------
    DatasetError
        There is none, or it is not understood.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise DatasetError(f"no recipe {name!r}; there are: {', '.join(names())}, or give a .toml file")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: not a TOML file ({error})") from error
    unknown = sorted(values.keys() - {field.name for field in fields(TrainingRecipe)})
    if unknown:
        raise DatasetError(f"{path}: {unknown[0]!r} is no field of a recipe")
    try:
        return TrainingRecipe(**{"name": path.stem, **values})
    except TypeError as error:
        raise DatasetError(f"{path}: {error}") from error
