"""A clip in, clean masks on the clip's own grid out."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiolabel.domain import Clip, LabelSet
from cardiolabel.errors import CorruptWeightsError
from cardiolabel.inference.class_masks import class_masks
from cardiolabel.inference.engines.choose import engine_for
from cardiolabel.inference.engines.engine import Engine
from cardiolabel.inference.landmark_masks import landmark_masks
from cardiolabel.networks.weights import ModelCard, read_weights, rebuild
from cardiolabel.preprocessing.recipes import RECIPES, Output, Placement, Recipe
from cardiolabel.system.memory_budget import budget

FRAMES_AT_ONCE = 16
"""Frames that go through the network together."""

CLEANING_THREADS = 2
"""Frames whose masks are cleaned at the same time."""

_MASKS = {Output.CLASSES: class_masks, Output.LANDMARKS: landmark_masks}


@dataclass(frozen=True, eq=False)
class Prepared:
    """A clip as network input ``(T, 1, S, S)``, and where its frames lie in it."""

    frames: NDArray[np.float32]
    place: Placement


@dataclass(frozen=True)
class UsedModel:
    """Which model gave masks, and what computed it, as every result says it."""

    name: str
    version: str
    sha256: str
    engine: str

    def as_dict(self) -> dict[str, str]:
        """JSON-safe form."""
        return dataclasses.asdict(self)


class Predictor:
    """A model's network with its recipe; safe to call from several threads.

    Parameters
    ----------
    engine : Engine
        Computes the network.
    card : ModelCard
    recipe : Recipe
    """

    def __init__(self, engine: Engine, card: ModelCard, *, recipe: Recipe) -> None:
        self.engine = engine
        self.card = card
        self.recipe = recipe
        self.labels = recipe.labels
        """What the mask values mean."""
        self._masks = _MASKS[recipe.output]

    @classmethod
    def load(cls, name: str, folder: Path, *, keep: bool = True) -> Predictor:
        """Load ``<name>.safetensors`` and its card from ``folder``, for the fastest engine here.

        What that converts is kept for the next start, unless ``keep`` is False.

        Raises
        ------
        MissingWeightsError, CorruptWeightsError
            The files are not there, or are not what the card says.
        InputError
            As `engine_for`.
        """
        blob, card = read_weights(name, folder)
        if card.recipe not in RECIPES:
            raise CorruptWeightsError(f"{name}.json names an unknown recipe {card.recipe!r}")
        recipe = RECIPES[card.recipe].sized(card.size_px)
        made_of = json.dumps([card.sha256, card.network, card.arguments], sort_keys=True)
        key = hashlib.sha256(made_of.encode()).hexdigest()
        engine = engine_for(lambda: rebuild(blob, card), key=key, size_px=recipe.size_px, keep=keep)
        return cls(engine, card, recipe=recipe)

    @property
    def used(self) -> UsedModel:
        """What results say of it."""
        return UsedModel(self.card.name, self.card.version, self.card.sha256, self.engine.name)

    def only(self, structures: Iterable[str], *, name: str) -> Predictor:
        """A predictor of the same network whose masks hold only some structures.

        The others are left out of masks that are clean already, so that those that stay are what they
        are beside them.

        Parameters
        ----------
        structures : iterable of str
            Of this predictor's labels.
        name : str
            What results call the model, and its label set.

        Raises
        ------
        ValueError
            A structure that this predictor does not have.
        """
        wanted = set(structures)
        if unknown := sorted(wanted - self.labels.as_dict().keys()):
            known = ", ".join(self.labels.as_dict())
            raise ValueError(f"model {self.card.name} has no {', '.join(unknown)}; there are: {known}")
        narrower = copy.copy(self)
        narrower.card = dataclasses.replace(self.card, name=name)
        narrower.labels = LabelSet(name, tuple(one for one in self.labels.values if one[0] in wanted))
        return narrower

    def predict(self, clip: Clip) -> NDArray[np.uint8]:
        """Masks ``(T, H, W)`` for a clip of the same shape."""
        prepared = self.prepare(clip)
        starts = range(0, len(prepared.frames), FRAMES_AT_ONCE)
        if len(starts) == 1:
            return self.masks(self.engine.logits(prepared.frames), prepared.place)
        cleaned: list[Future[NDArray[np.uint8]]] = []
        with ThreadPoolExecutor(CLEANING_THREADS) as pool:
            for start in starts:
                wait(cleaned[-CLEANING_THREADS:-1])  # no more logits are kept than threads can clean
                logits = self.engine.logits(prepared.frames[start : start + FRAMES_AT_ONCE])
                cleaned.append(pool.submit(self.masks, logits, prepared.place))
        return np.concatenate([chunk.result() for chunk in cleaned])

    def prepare(self, clip: Clip) -> Prepared:
        """A clip's network input; errors as `Budget.reserved` where it is too large."""
        with budget.reserved("the network's input", self.recipe.input_bytes(clip.shape, clip.spacing)):
            place = self.recipe.placement(clip)
            return Prepared(self.recipe.frames(clip, place), place)

    def masks(self, logits: NDArray[np.float32], place: Placement) -> NDArray[np.uint8]:
        """Clean masks ``(T, H, W)`` on the frames' own grid, of logits ``(T, C, S, S)``."""
        masks = self._masks(logits, self.recipe, place)
        kept = np.zeros(256, dtype=np.bool_)
        kept[list(self.labels.known)] = True
        return masks if self.labels is self.recipe.labels else np.where(kept[masks], masks, np.uint8(0))
