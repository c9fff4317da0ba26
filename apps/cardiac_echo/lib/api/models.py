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
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io.files import atomic
from cardiolabel.networks.weights import ModelCard, read_card
from lib.api import received
from lib.archives import unpack
from lib.environment import MB, environment
from lib.errors import refused

router = APIRouter(
    prefix="/model", tags=["Model"], dependencies=[Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))]
)

SUFFIXES = (".safetensors", ".json")

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_CARD_BYTES = 65536
_CARD_TEXTS = ("name", "version", "network", "recipe", "sha256")
_publishing = threading.Lock()


@router.get("/info/{model}", summary="A model's card")
def info(model: str) -> dict[str, Any]:
    """Checksum and time of the weights file, as MONAI Label's endpoint, and the card."""
    weights, _ = _files(model)
    card = read_card(model, _folder())
    modified_s = file_state(weights)[1] // 10**9
    return {"checksum": f"SHA256:{card.sha256}", "modified_time": modified_s, "card": card.as_dict()}


@router.get("/{model}", summary="Download a model", response_class=Response)
def download(model: str) -> Response:
    """A zip file of ``<model>.safetensors`` and ``<model>.json``."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in _files(model):
            archive.write(path, path.name)
    headers = {"Content-Disposition": f'attachment; filename="{model}.zip"'}
    return Response(packed.getvalue(), media_type="application/zip", headers=headers)


@router.put("/{model}", summary="Replace a served model")
def replace(model: str, file: Annotated[UploadFile, File()]) -> dict[str, Any]:
    """Takes what downloading gives; the model that was served is kept as ``<model>.previous``.

    Nothing changes unless the new one can be loaded.
    """
    if model not in _served():
        raise refused(404, "unknown_model", f"no model {model[:80]!r}; there are: {', '.join(_served())}")
    with tempfile.TemporaryDirectory(prefix="cardiolabel-") as folder:
        card = _checked(received.upload(file, Path(folder)), Path(folder) / "unpacked", model)
        _publish(model, Path(folder) / "unpacked")
    app_instance().reload()
    return {**info(model), "version": card.version}


@router.delete("/{model}", summary="Delete a model that is not served")
def delete(model: str) -> dict[str, Any]:
    """Weights, card, and what was kept of the model before."""
    if model in _served():
        raise refused(409, "model_in_use", f"{model} is being served; start the server without it first")
    for path in _files(model):
        path.unlink()
    for suffix in SUFFIXES:
        (_folder() / f"{model}.previous{suffix}").unlink(missing_ok=True)
    return {}


def _served() -> list[str]:
    return list(app_instance()._infers)


def _folder() -> Path:
    return Path(app_instance().app_dir) / "model"


def _files(model: str) -> tuple[Path, Path]:
    weights, card = (_folder() / f"{model}{suffix}" for suffix in SUFFIXES)
    if not (_NAME.fullmatch(model) and weights.is_file() and card.is_file()):
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
    try:
        predictor = Predictor.load(model, folder)
    except ModelError as error:
        raise _unfit(str(error)) from None
    labels = app_instance()._infers[model].labels
    if predictor.labels.as_dict() != labels:
        raise _unfit(f"its recipe has other labels than the server: expected {', '.join(labels)}")
    channels = len(labels) + 1
    if predictor.card.arguments.get("out_channels", channels) != channels:
        raise _unfit(f"expected {channels} channels, the labels and the background")
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
    """Put the new pair in place of the old one, which stays beside it."""
    with _publishing:
        if all((_folder() / f"{model}{suffix}").is_file() for suffix in SUFFIXES):
            _replace_pair(_folder() / model, _folder() / f"{model}.previous")
        _replace_pair(new / model, _folder() / model)


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
