"""The predictor: a clip in, clean masks on the clip's own grid out."""

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
"""Batch size of the network, in frames."""

CLEANING_THREADS = 2
"""Threads that clean masks."""

_MASKS = {Output.CLASSES: class_masks, Output.LANDMARKS: landmark_masks}


@dataclass(frozen=True, eq=False)
class Prepared:
    """Network input ``(T, 1, S, S)`` of a clip, and the placement of its frames in it."""

    frames: NDArray[np.float32]
    place: Placement


@dataclass(frozen=True)
class UsedModel:
    """Model and engine that made the masks, as recorded in every result."""

    name: str
    version: str
    sha256: str
    engine: str

    def as_dict(self) -> dict[str, str]:
        """Convert to types that JSON can hold."""
        return dataclasses.asdict(self)


class Predictor:
    """A model with its preprocessing recipe; safe to call from several threads.

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
        """Meaning of the mask values."""
        self._masks = _MASKS[recipe.output]

    @classmethod
    def load(cls, name: str, folder: Path, *, keep: bool = True) -> Predictor:
        """Load ``<name>.safetensors`` and its card from ``folder`` into the fastest engine here.

        Unless ``keep`` is False, a converted network is cached for the next start.

        Raises
        ------
        MissingWeightsError, CorruptWeightsError
            The files are missing, or do not match the card.
        InputError
            As `engine_for`.
        """
        blob, card = read_weights(name, folder)
        if card.recipe not in RECIPES:
            raise CorruptWeightsError(f"{name}.json names an unknown recipe {card.recipe!r}")
        recipe = RECIPES[card.recipe].sized(card.size_px)
        identity = json.dumps([card.sha256, card.network, card.arguments], sort_keys=True)
        key = hashlib.sha256(identity.encode()).hexdigest()
        engine = engine_for(lambda: rebuild(blob, card), key=key, size_px=recipe.size_px, keep=keep)
        return cls(engine, card, recipe=recipe)

    @property
    def used(self) -> UsedModel:
        """Model and engine, as results record them."""
        return UsedModel(self.card.name, self.card.version, self.card.sha256, self.engine.name)

    def only(self, structures: Iterable[str], *, name: str) -> Predictor:
        """Copy the predictor with masks that hold only some structures.

        Other structures are removed after cleaning, so that the remaining ones do not change.

        Parameters
        ----------
        structures : iterable of str
            Names from this predictor's label set.
        name : str
            New name of the model and of its label set.

        Raises
        ------
        ValueError
            The predictor does not segment one of the structures.
        """
        selected = set(structures)
        if unknown := sorted(selected - self.labels.as_dict().keys()):
            available = ", ".join(self.labels.as_dict())
            raise ValueError(
                f"model {self.card.name} does not segment {', '.join(unknown)}; expected {available}"
            )
        narrower = copy.copy(self)
        narrower.card = dataclasses.replace(self.card, name=name)
        narrower.labels = LabelSet(
            name,
            tuple((structure, value) for structure, value in self.labels.values if structure in selected),
        )
        return narrower

    def predict(self, clip: Clip) -> NDArray[np.uint8]:
        """Predict masks ``(T, H, W)`` of a clip, in its own shape."""
        prepared = self.prepare(clip)
        starts = range(0, len(prepared.frames), FRAMES_AT_ONCE)
        if len(starts) == 1:
            return self.masks(self.engine.logits(prepared.frames), prepared.place)
        cleaned: list[Future[NDArray[np.uint8]]] = []
        with ThreadPoolExecutor(CLEANING_THREADS) as pool:
            for start in starts:
                wait(cleaned[-CLEANING_THREADS:-1])  # bounds the logits in memory
                logits = self.engine.logits(prepared.frames[start : start + FRAMES_AT_ONCE])
                cleaned.append(pool.submit(self.masks, logits, prepared.place))
        return np.concatenate([chunk.result() for chunk in cleaned])

    def prepare(self, clip: Clip) -> Prepared:
        """Make a clip's network input; raises like `Budget.reserved` if it is too large."""
        with budget.reserved("the network's input", self.recipe.input_bytes(clip.shape, clip.spacing)):
            place = self.recipe.placement(clip)
            return Prepared(self.recipe.frames(clip, place), place)

    def masks(self, logits: NDArray[np.float32], place: Placement) -> NDArray[np.uint8]:
        """Turn logits ``(T, C, S, S)`` into clean masks ``(T, H, W)`` on the frames' own grid."""
        masks = self._masks(logits, self.recipe, place)
        if self.labels is self.recipe.labels:
            return masks
        is_selected = np.zeros(256, dtype=np.bool_)
        is_selected[list(self.labels.all_values)] = True
        return np.where(is_selected[masks], masks, np.uint8(0))
