"""A clip in, clean masks on the clip's own grid out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cardiolabel.domain import Clip, LabelSet
from cardiolabel.errors import CorruptWeightsError
from cardiolabel.inference.postprocess import clean_mask
from cardiolabel.networks.weights import ModelCard, load_model
from cardiolabel.preprocessing.recipes import RECIPES, Recipe

_FRAMES_AT_ONCE = 8


class Predictor:
    """A loaded network with its recipe; safe to call from several threads.

    Runs in fp16 on a GPU where there is one, otherwise in fp32 on the CPU.
    """

    def __init__(self, network: torch.nn.Module, card: ModelCard, *, recipe: Recipe) -> None:
        self.card = card
        self.recipe = recipe
        self._values = np.array(recipe.values, dtype=np.uint8)
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

    @property
    def labels(self) -> LabelSet:
        """What the mask values mean."""
        return self.recipe.labels

    def predict(self, clip: Clip) -> NDArray[np.uint8]:
        """Masks ``(T, H, W)`` for a clip of the same shape."""
        place = self.recipe.placement(clip)
        frames = torch.from_numpy(self.recipe.frames(clip, place))
        masks = np.empty(clip.shape, dtype=np.uint8)
        for start in range(0, len(frames), _FRAMES_AT_ONCE):
            chunk = self._probabilities(frames[start : start + _FRAMES_AT_ONCE])
            classes = self.recipe.restore(chunk, place).argmax(1).to(torch.uint8).cpu().numpy()
            for offset, mask in enumerate(self._values[classes]):
                masks[start + offset] = clean_mask(mask, self.labels)
        return masks

    @torch.inference_mode()
    def _probabilities(self, frames: torch.Tensor) -> torch.Tensor:
        batch = frames.to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
            logits = self._network(batch)
        probabilities: torch.Tensor = logits.float().softmax(1)
        return probabilities
