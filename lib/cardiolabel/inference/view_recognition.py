"""Recognition of the view that an image shows, where neither its manifest nor its tags say it.

A linear head on the features of the shipped encoder gives probabilities of A2C, A4C, a short-axis slice, and
anything else. Below the head's threshold the view stays unknown, so that a person is asked.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from cardiolabel.domain import Clip, View
from cardiolabel.errors import CorruptWeightsError, MissingWeightsError
from cardiolabel.inference.view_features import RECIPE, network_input, view_features
from cardiolabel.networks.weights import read_weights, rebuild

__all__ = ["CARD", "CLASSES", "OTHER", "WEIGHTS", "RecognisedView", "ViewHead", "ViewRecogniser"]

OTHER = "other"
CLASSES = (View.A2C.value, View.A4C.value, View.SAX.value, OTHER)
"""What the head tells apart, in its order."""

WEIGHTS, CARD = "view_head.safetensors", "view_head.json"
_FOLDER = "views"
_FRAMES = 5
"""Frames of a cine that are looked at, spread evenly."""


@dataclass(frozen=True)
class RecognisedView:
    """What an image seems to show.

    Parameters
    ----------
    view : View
        `View.UNKNOWN` where the recognition is unsure, or sure that it is none of the others.
    likeliest : str
        The likeliest of `CLASSES`.
    probability : float
        Of ``likeliest``.
    """

    view: View
    likeliest: str
    probability: float

    @property
    def question(self) -> str:
        """What to tell a user where the view stays unknown; empty otherwise."""
        if self.view is not View.UNKNOWN:
            return ""
        if self.likeliest == OTHER:
            return "seems to show another view or no echo; if it is A2C or A4C, say so"
        return f"may show {self.likeliest} (probability {self.probability:.2f}); say what it is"


@dataclass(frozen=True, eq=False)
class ViewHead:
    """A linear classifier: probabilities are the softmax of ``((x - mean) / scale) @ weights + bias``.

    Parameters
    ----------
    mean, scale : ndarray, shape (F,)
    weights : ndarray, shape (F, C)
    bias : ndarray, shape (C,)
    threshold : float
        Probability from which a class is taken.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    threshold: float

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities ``(T, C)`` of features ``(T, F)``."""
        scores = ((features - self.mean) / self.scale) @ self.weights + self.bias
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


class ViewRecogniser:
    """Recognises views; safe to use from several threads.

    Parameters
    ----------
    encoder : torch.nn.Module
        Of the network that the head was trained on.
    head : ViewHead
    """

    def __init__(self, encoder: torch.nn.Module, head: ViewHead) -> None:
        self._encoder, self._head = encoder, head

    @classmethod
    def load(cls, models: Path) -> ViewRecogniser:
        """Load the head from the ``views`` folder of the shipped models, and its encoder from beside it.

        Raises
        ------
        MissingWeightsError
            There is no head, or no network for it.
        CorruptWeightsError
            A file does not match its card, or the head belongs to another network.
        """
        folder = models / _FOLDER
        try:
            card = json.loads((folder / CARD).read_text(encoding="utf-8"))
            blob = (folder / WEIGHTS).read_bytes()
        except FileNotFoundError as error:
            raise MissingWeightsError(f"{folder}: no weights for the recognition of views") from error
        network, its_card = read_weights(RECIPE, models)
        if card.get("sha256") != hashlib.sha256(blob).hexdigest() or card.get("encoder") != its_card.sha256:
            raise CorruptWeightsError(f"{folder / WEIGHTS}: does not match its card or network")
        try:
            arrays = load(blob)
            head = ViewHead(
                **{name: arrays[name] for name in ("mean", "scale", "weights", "bias")},
                threshold=float(card["threshold"]),
            )
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise CorruptWeightsError(f"{folder / WEIGHTS}: has another form ({error})") from error
        encoder: torch.nn.Module = rebuild(network, its_card).encoder  # type: ignore[assignment]
        return cls(encoder, head)

    def recognise(self, clip: Clip) -> RecognisedView:
        """Return what a clip shows, from the mean of some frames' log probabilities."""
        at = np.unique(np.linspace(0, clip.shape[0] - 1, _FRAMES).astype(int))
        frames = network_input(Clip(clip.pixels[at], clip.spacing))
        each = self._head.probabilities(view_features(self._encoder, frames))
        mean = np.exp(np.log(np.maximum(each, 1e-9)).mean(axis=0))
        mean /= mean.sum()
        best = int(mean.argmax())
        likeliest, probability = CLASSES[best], float(mean[best])
        is_sure = probability >= self._head.threshold and likeliest != OTHER
        return RecognisedView(View(likeliest) if is_sure else View.UNKNOWN, likeliest, probability)
