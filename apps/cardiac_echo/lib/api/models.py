"""Models: weights files with their cards."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, File, Query, Response, UploadFile
from monailabel.interfaces.utils.app import app_instance
from starlette.exceptions import HTTPException

from cardiolabel.domain import Clip, Spacing
from cardiolabel.errors import ModelError
from cardiolabel.models.model_folders import ModelFolders
from cardiolabel.models.models import Models
from cardiolabel.models.versions import FOLDER, SUFFIXES, Version, Versions
from cardiolabel.networks.weights import ModelCard, read_card
from cardiolabel.system.file_cache import file_state
from lib.api import received
from lib.files import temporary
from lib.infers.segmentation import Segmentation
from lib.security.archives import unpack
from lib.security.environment import MB, environment
from lib.security.roles import Role, needs, require
from lib.security.server_paths import without_paths
from lib.server.errors import refused

router = APIRouter(prefix="/model", tags=["Model"], dependencies=[needs(Role.ADMIN)])

served = APIRouter(tags=["Model"], dependencies=[needs(Role.USER)])

versions = APIRouter(
    prefix="/cardiac/models",
    tags=["Model"],
    dependencies=[needs(Role.ADMIN)],
)

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_CARD_BYTES = 65536
_CARD_TEXTS = ("name", "version", "network", "recipe", "sha256")


@served.get("/cardiac/models", summary="Every model that is served, with its card")
def listed() -> list[dict[str, Any]]:
    """List the models, preferred first; ``card`` is null with a ``reason`` where a model has no usable
    weights.
    """
    return [_listed(name, task) for name, task in app_instance()._infers.items()]


@router.get("/info/{model}", summary="A model's card")
def info(model: str) -> dict[str, Any]:
    """Return checksum and time of the weights file, as MONAI Label's endpoint does, and the card."""
    weights, _ = _files(model)
    card = read_card(weights.stem, weights.parent)
    modified_s = file_state(weights)[1] // 10**9
    return {"checksum": f"SHA256:{card.sha256}", "modified_time": modified_s, "card": card.as_dict()}


@router.get("/{model}", summary="Download a model", response_class=Response)
def download(model: str) -> Response:
    """Return a zip file of weights and card, which may be those of another model that it shares."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in _files(model):
            archive.write(path, path.name)
    headers = {"Content-Disposition": f'attachment; filename="{path.stem}.zip"'}
    return Response(packed.getvalue(), media_type="application/zip", headers=headers)


@router.put("/{model}", summary="Replace a served model")
def replace(model: str, file: Annotated[UploadFile, File()]) -> dict[str, Any]:
    """Publish an uploaded model as a new version; the previous one is kept.

    Nothing changes unless the new one can be loaded. A model that shared another's weights has its own then.
    """
    tasks = app_instance()._infers
    if model not in tasks:
        raise refused(404, "unknown_model", f"no model {model[:80]!r}; there are: {', '.join(tasks)}")
    with temporary.folder() as folder:
        card = _checked(received.upload(file, folder), folder / "unpacked", model)
        _changed_versions().publish(model, folder / "unpacked", note=_note("uploaded"))
    app_instance().reload()
    return {**info(model), "version": card.version}


@router.delete("/{model}", summary="Delete a model that is not served")
def delete(model: str) -> dict[str, Any]:
    """Remove all published versions of a model; shipped files stay."""
    tasks = app_instance()._infers
    users = [name for name, task in tasks.items() if model in (name, task.source.weights(_folders()))]
    if users:
        message = f"{', '.join(users)} is being served with it; start the server without that first"
        raise refused(409, "model_in_use", message)
    _files(model)
    require(Role.ADMIN)
    if (_folders().shipped / f"{model}{SUFFIXES[0]}").is_file():
        message = f"{model} ships with the app, whose files the server never changes; remove them there"
        raise refused(409, "shipped_model", message)
    shutil.rmtree(_folders().published / FOLDER / model, ignore_errors=True)
    return {}


@versions.post("/{model}/rollback", summary="Serve another version of a model")
def roll_back(
    model: str, version: Annotated[int | None, Query(ge=0, description="By default the one before.")] = None
) -> dict[str, Any]:
    """Serve another version, and return the model as listed; nothing changes unless it can be loaded."""
    tasks = app_instance()._infers
    if model not in tasks:
        raise refused(404, "unknown_model", f"no model {model[:80]!r}; there are: {', '.join(tasks)}")
    weights = tasks[model].source.weights(_folders())
    _changed_versions().roll_back(weights, version)
    app_instance().engine.models.reload()
    return _listed(model, tasks[model])


def _listed(name: str, task: Segmentation) -> dict[str, Any]:
    weights, card, reason, versions = task.source.weights(_folders()), None, "", list[Version]()
    try:
        versions = Versions(_folders()).listed(weights)
        card = read_card(weights, Versions(_folders()).folder(weights)).as_dict()
    except ModelError as error:
        reason = without_paths(str(error))
    return {
        "name": name,
        **task.info(),
        "weights": weights,
        "loaded": app_instance().engine.models.is_loaded(name),
        "card": card,
        "reason": reason,
        "versions": [version.as_dict() for version in versions],
    }


def _changed_versions() -> Versions:
    """Return the versions of the models, for users who may change them."""
    require(Role.ADMIN)
    return Versions(_folders())


def _note(why: str) -> dict[str, str]:
    return {"published_at": datetime.now(UTC).isoformat(timespec="seconds"), "why": why}


def _folders() -> ModelFolders:
    folders: ModelFolders = app_instance().engine.models.folders
    return folders


def _files(model: str) -> tuple[Path, Path]:
    """Return weights and card of a model, which may be those of another."""
    task = app_instance()._infers.get(model)
    name = task.source.weights(_folders()) if task else model
    folder = Versions(_folders()).folder(name) if _NAME.fullmatch(name) else _folders().shipped
    weights, card = (folder / f"{name}{suffix}" for suffix in SUFFIXES)
    if not (_NAME.fullmatch(name) and weights.is_file() and card.is_file()):
        raise refused(404, "unknown_model", f"no weights of a model {model[:80]!r}")
    return weights, card


def _checked(archive: Path, folder: Path, model: str) -> ModelCard:
    """Unpack an uploaded model and test that it loads.

    Raises
    ------
    HTTPException
        422: it is not this model, or cannot be used.
    """
    folder.mkdir()
    names = {f"{model}{suffix}" for suffix in SUFFIXES}
    limit = environment().max_upload_mb * MB
    files = unpack(archive, folder, is_wanted=names.__contains__, max_bytes=limit)
    if {path.name for path in files} != names:
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


def _unfit(message: str) -> HTTPException:
    return refused(422, "unusable_model", f"nothing was replaced: {message}")
