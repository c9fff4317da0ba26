"""Models: a weights file and its card, always together."""

from __future__ import annotations

import io
import json
import re
import shutil
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, File, Response, UploadFile
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC
from monailabel.interfaces.utils.app import app_instance
from starlette.exceptions import HTTPException

from cardiolabel.cache import file_state
from cardiolabel.domain import Clip, Spacing
from cardiolabel.errors import ModelError
from cardiolabel.inference.models import Models
from cardiolabel.io.files import atomic
from cardiolabel.networks.weights import ModelCard, read_card
from lib.api import received
from lib.archives import unpack
from lib.environment import MB, environment
from lib.errors import refused
from lib.infers.segmentation import Segmentation

router = APIRouter(
    prefix="/model", tags=["Model"], dependencies=[Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))]
)

served = APIRouter(tags=["Model"], dependencies=[Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))])

SUFFIXES = (".safetensors", ".json")

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_CARD_BYTES = 65536
_CARD_TEXTS = ("name", "version", "network", "recipe", "sha256")
_publishing = threading.Lock()


@served.get("/cardiac/models", summary="Every model that is served, with its card")
def listed() -> list[dict[str, Any]]:
    """The preferred first; ``card`` is null, and ``reason`` says why, where a model has no usable weights."""
    return [_listed(name, task) for name, task in app_instance()._infers.items()]


@router.get("/info/{model}", summary="A model's card")
def info(model: str) -> dict[str, Any]:
    """Checksum and time of the weights file, as MONAI Label's endpoint, and the card."""
    weights, _ = _files(model)
    card = read_card(weights.stem, _folder())
    modified_s = file_state(weights)[1] // 10**9
    return {"checksum": f"SHA256:{card.sha256}", "modified_time": modified_s, "card": card.as_dict()}


@router.get("/{model}", summary="Download a model", response_class=Response)
def download(model: str) -> Response:
    """A zip file of weights and card, which may be those of another model that it shares."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in _files(model):
            archive.write(path, path.name)
    headers = {"Content-Disposition": f'attachment; filename="{path.stem}.zip"'}
    return Response(packed.getvalue(), media_type="application/zip", headers=headers)


@router.put("/{model}", summary="Replace a served model")
def replace(model: str, file: Annotated[UploadFile, File()]) -> dict[str, Any]:
    """Takes what downloading gives; the model that was served is kept as ``<model>.previous``.

    Nothing changes unless the new one can be loaded. A model that shared another's weights has its own then.
    """
    tasks = app_instance()._infers
    if model not in tasks:
        raise refused(404, "unknown_model", f"no model {model[:80]!r}; there are: {', '.join(tasks)}")
    with tempfile.TemporaryDirectory(prefix="cardiolabel-") as folder:
        card = _checked(received.upload(file, Path(folder)), Path(folder) / "unpacked", model)
        _publish(model, Path(folder) / "unpacked")
    app_instance().reload()
    return {**info(model), "version": card.version}


@router.delete("/{model}", summary="Delete a model that is not served")
def delete(model: str) -> dict[str, Any]:
    """Weights, card and page, and what was kept of the model before."""
    tasks = app_instance()._infers
    users = [name for name, task in tasks.items() if model in (name, task.source.weights(_folder()))]
    if users:
        message = f"{', '.join(users)} is being served with it; start the server without that first"
        raise refused(409, "model_in_use", message)
    for path in _files(model):
        path.unlink()
    for name in (*(f"{model}.previous{suffix}" for suffix in SUFFIXES), f"{model}.md"):
        (_folder() / name).unlink(missing_ok=True)
    return {}


def _listed(name: str, task: Segmentation) -> dict[str, Any]:
    weights, card, reason = task.source.weights(_folder()), None, ""
    try:
        card = read_card(weights, _folder()).as_dict()
    except ModelError as error:
        reason = str(error)
    loaded = app_instance().engine.models.is_loaded(name)
    return {"name": name, **task.info(), "weights": weights, "loaded": loaded, "card": card, "reason": reason}


def _folder() -> Path:
    return Path(app_instance().app_dir) / "model"


def _files(model: str) -> tuple[Path, Path]:
    """Weights and card of a model, which may be those of another."""
    task = app_instance()._infers.get(model)
    name = task.source.weights(_folder()) if task else model
    weights, card = (_folder() / f"{name}{suffix}" for suffix in SUFFIXES)
    if not (_NAME.fullmatch(name) and weights.is_file() and card.is_file()):
        raise refused(404, "unknown_model", f"no weights of a model {model[:80]!r}")
    return weights, card


def _checked(archive: Path, folder: Path, model: str) -> ModelCard:
    """Unpack an uploaded model and load it once.

    Raises
    ------
    HTTPException
        422: it is not this model, or cannot be used.
    """
    folder.mkdir()
    names = {f"{model}{suffix}" for suffix in SUFFIXES}
    limit = environment().max_upload_mb * MB
    found = unpack(archive, folder, wanted=names.__contains__, max_bytes=limit)
    if {path.name for path in found} != names:
        raise _unfit(f"expected a zip file with {' and '.join(sorted(names))}")
    _check_card(folder / f"{model}.json", model)
    source = app_instance()._infers[model].source
    try:
        predictor = Models([source], folder).named(model)
    except ModelError as error:
        raise _unfit(str(error)) from None
    channels = predictor.recipe.channels
    if predictor.card.arguments.get("out_channels", channels) != channels:
        raise _unfit(f"expected {channels} channels, as recipe {predictor.card.recipe} has")
    try:
        predictor.predict(Clip(np.zeros((1, 64, 64), dtype=np.uint8), Spacing(row_mm=1, col_mm=1)))
    except RuntimeError:
        raise _unfit("it cannot predict an empty frame") from None
    return predictor.card


def _check_card(path: Path, model: str) -> None:
    try:
        card = json.loads(path.read_bytes()[:_CARD_BYTES])
    except (ValueError, RecursionError):
        card = None
    if not isinstance(card, dict) or not all(isinstance(card.get(key), str) for key in _CARD_TEXTS):
        raise _unfit(f"{path.name}: expected a card, JSON with {', '.join(_CARD_TEXTS)}")
    if card["name"] != model:
        raise _unfit(f"{path.name} is the card of {card['name'][:80]!r}, not of {model}")


def _publish(model: str, new: Path) -> None:
    """Put the new pair in place of the old one, which stays beside it; the page of the old one goes."""
    with _publishing:
        if all((_folder() / f"{model}{suffix}").is_file() for suffix in SUFFIXES):
            _replace_pair(_folder() / model, _folder() / f"{model}.previous")
        _replace_pair(new / model, _folder() / model)
        (_folder() / f"{model}.md").unlink(missing_ok=True)


def _replace_pair(source: Path, target: Path) -> None:
    """Copy both files before either is renamed, so that a full disk changes nothing."""
    weights, card = SUFFIXES
    with (
        atomic(target.with_name(target.name + card)) as new_card,
        atomic(target.with_name(target.name + weights)) as new_weights,
    ):
        shutil.copyfile(source.with_name(source.name + weights), new_weights)
        shutil.copyfile(source.with_name(source.name + card), new_card)


def _unfit(message: str) -> HTTPException:
    return refused(422, "unusable_model", f"nothing was replaced: {message}")
