"""Training of the head that recognises views, on features of the shipped encoder."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save

from cardiolabel.domain import Clip, Record, View
from cardiolabel.inference.view_features import RECIPE, network_input, view_features
from cardiolabel.inference.view_recognition import CARD, CLASSES, OTHER, WEIGHTS, ViewHead
from cardiolabel.io.files import atomic
from cardiolabel.io.images import read_image
from cardiolabel.networks.weights import read_weights, rebuild
from cardiolabel.training.view_images import HELD_OUT, OTHER_IMAGES, augmented, photographs

__all__ = ["train_view_head"]

_COPIES = 4
_OTHERS_OF_EACH = 150
_HELD_OUT_OF_EACH = 40
_WEIGHT_DECAY = 0.005
_THRESHOLD = 0.9
_STEPS = 300


@dataclass
class _Table:
    """Features with their class, and for testing the kind of image."""

    features: list[NDArray[np.float32]]
    classes: list[int]
    kinds: list[str]

    def add(self, features: NDArray[np.float32], name: str, kind: str) -> None:
        self.features.append(features)
        self.classes += [CLASSES.index(name)] * len(features)
        self.kinds += [kind] * len(features)


def train_view_head(
    records: Sequence[Record],
    *,
    held_out: frozenset[str],
    models: Path,
    out: Path,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Train the head and write its weights and card.

    Parameters
    ----------
    records : sequence of Record
        Images of A2C, A4C and SAX.
    held_out : frozenset of str
        Patients for testing alone; the encoder must not know them either.
    models : Path
        Folder of the shipped models, with the encoder.
    out : Path
        Folder to write to.
    seed : int
    progress : callable, optional

    Returns
    -------
    dict
        Shares of the held-out images that are answered, and of those the right ones, by kind of image.
    """
    rng = np.random.default_rng(seed)
    blob, card = read_weights(RECIPE, models)
    encoder: torch.nn.Module = rebuild(blob, card).encoder  # type: ignore[assignment]
    train, test = _Table([], [], []), _Table([], [], [])
    frames: dict[bool, list[NDArray[np.uint8]]] = {True: [], False: []}
    for done, record in enumerate(records, start=1):
        clip = read_image(record.path).clip
        is_test = record.patient in held_out
        if record.view is View.SAX:
            middle = clip.shape[0] // 2
            clip = Clip(clip.pixels[middle - 1 : middle + 2], clip.spacing)
        elif len(frames[is_test]) < _OTHERS_OF_EACH:
            frames[is_test].append(clip.pixels[0])
        batch = network_input(clip)
        if is_test:
            test.add(view_features(encoder, batch), record.view.value, record.view.value)
        else:
            copies = [batch, *(augmented(batch, rng) for _ in range(_COPIES))]
            train.add(view_features(encoder, torch.cat(copies)), record.view.value, record.view.value)
        if progress is not None:
            progress(done, len(records))
    for_training, for_testing = photographs()
    for maker in OTHER_IMAGES:
        made = [maker(rng, frames[False]) for _ in range(_OTHERS_OF_EACH)]
        train.add(_features(encoder, made), OTHER, maker.__name__)
        made = [maker(rng, frames[True]) for _ in range(_HELD_OUT_OF_EACH)]
        test.add(_features(encoder, made), OTHER, maker.__name__)
    for maker in HELD_OUT:
        made = [maker(rng, frames[True]) for _ in range(_HELD_OUT_OF_EACH)]
        test.add(_features(encoder, made), OTHER, maker.__name__)
    photos = torch.cat([network_input(_still(picture)) for picture in for_training])
    copies = [photos, *(augmented(photos, rng) for _ in range(_COPIES))]
    train.add(view_features(encoder, torch.cat(copies)), OTHER, "photograph")
    test.add(_features(encoder, for_testing), OTHER, "photograph")
    head = _fitted(np.concatenate(train.features), np.array(train.classes))
    metrics = _metrics(head, test)
    _write(head, card.sha256, metrics, Counter(train.kinds), out)
    return metrics


def _still(picture: NDArray[np.uint8]) -> Clip:
    return Clip(np.ascontiguousarray(picture)[None], None)


def _features(encoder: torch.nn.Module, pictures: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    return view_features(encoder, torch.cat([network_input(_still(picture)) for picture in pictures]))


def _fitted(features: NDArray[np.float32], classes: NDArray[np.int64]) -> ViewHead:
    """Fit by softmax regression with L2 decay; each class counts the same."""
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-3
    inputs, targets = torch.from_numpy((features - mean) / scale), torch.from_numpy(classes)
    share = torch.bincount(targets, minlength=len(CLASSES)).float()
    balance = share.sum() / (len(CLASSES) * share)
    weights = torch.zeros(features.shape[1], len(CLASSES), requires_grad=True)
    bias = torch.zeros(len(CLASSES), requires_grad=True)
    search = torch.optim.LBFGS([weights, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        fit = torch.nn.functional.cross_entropy(inputs @ weights + bias, targets, weight=balance)
        total: torch.Tensor = fit + _WEIGHT_DECAY * (weights**2).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    search.step(loss)  # type: ignore[no-untyped-call]
    return ViewHead(mean, scale, weights.detach().numpy(), bias.detach().numpy(), _THRESHOLD)


def _metrics(head: ViewHead, test: _Table) -> dict[str, Any]:
    probabilities = head.probabilities(np.concatenate(test.features))
    best, sure = probabilities.argmax(axis=1), probabilities.max(axis=1) >= head.threshold
    classes, kinds = np.array(test.classes), np.array(test.kinds)
    metrics: dict[str, Any] = {}
    for kind in dict.fromkeys(test.kinds):
        of_kind = kinds == kind
        named = sure & of_kind & (best != CLASSES.index(OTHER))
        metrics[kind.strip("_")] = {
            "images": int(of_kind.sum()),
            "given a view": round(float(named.sum() / of_kind.sum()), 4),
            "of these right": round(float((best == classes)[named].mean()), 4) if named.any() else None,
        }
    return metrics


def _write(
    head: ViewHead, encoder: str, metrics: dict[str, Any], trained_on: Counter[str], out: Path
) -> None:
    arrays = {name: getattr(head, name) for name in ("mean", "scale", "weights", "bias")}
    blob = save({name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()})
    card = {
        "classes": CLASSES,
        "threshold": head.threshold,
        "encoder": encoder,
        "sha256": hashlib.sha256(blob).hexdigest(),
        "trained_on": {kind.strip("_"): count for kind, count in trained_on.items()},
        "metrics": metrics,
        "licence": "CC BY-NC-SA 4.0, research only (inherited from CAMUS)",
    }
    out.mkdir(parents=True, exist_ok=True)
    with atomic(out / WEIGHTS) as draft:
        draft.write_bytes(blob)
    with atomic(out / CARD) as draft:
        draft.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
