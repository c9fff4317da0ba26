"""A clip in, clean masks on the clip's own grid out."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cardiolabel.domain import Clip, LabelSet
from cardiolabel.errors import CorruptWeightsError
from cardiolabel.inference.class_masks import class_masks
from cardiolabel.inference.landmark_masks import landmark_masks
from cardiolabel.networks.weights import ModelCard, load_model
from cardiolabel.preprocessing.recipes import RECIPES, Output, Recipe

_FRAMES_AT_ONCE = 8
_MASKS = {Output.CLASSES: class_masks, Output.LANDMARKS: landmark_masks}


class Predictor:
    """A loaded network with its recipe; safe to call from several threads.

    Runs in fp16 on a GPU where there is one, otherwise in fp32 on the CPU.
    """

    def __init__(self, network: torch.nn.Module, card: ModelCard, *, recipe: Recipe) -> None:
        self.card = card
        self.recipe = recipe
        self.labels = recipe.labels
        """What the mask values mean."""
        self._masks = _MASKS[recipe.output]
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def load(cls, name: str, folder: Path) -> Predictor:
        """Load ``<name>.safetensors`` and its card from ``folder``.

        Raises
        ------
        MissingWeightsError, CorruptWeightsError
            The files are not there, or are not what the card says.
        """
        network, card = load_model(name, folder)
        if card.recipe not in RECIPES:
            raise CorruptWeightsError(f"{name}.json names an unknown recipe {card.recipe!r}")
        return cls(network, card, recipe=RECIPES[card.recipe].sized(card.size_px))

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
        place = self.recipe.placement(clip)
        frames = torch.from_numpy(self.recipe.frames(clip, place))
        masks = np.empty(clip.shape, dtype=np.uint8)
        for start in range(0, len(frames), _FRAMES_AT_ONCE):
            chunk = slice(start, start + _FRAMES_AT_ONCE)
            masks[chunk] = self._masks(self._logits(frames[chunk]), self.recipe, place)
        masks[~np.isin(masks, list(self.labels.known))] = 0
        return masks

    @torch.inference_mode()
    def _logits(self, frames: torch.Tensor) -> torch.Tensor:
        batch = frames.to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
            logits: torch.Tensor = self._network(batch)
        return logits.float()
