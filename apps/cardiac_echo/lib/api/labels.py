"""Corrected masks: saving, history, and rolling back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, File, Header, Query, Response, UploadFile
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse
from monailabel.config import settings
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance

from cardiolabel.errors import InputError
from cardiolabel.io import nifti
from cardiolabel.io.images import read_image_grid
from cardiolabel.records.layout import FINAL, SUFFIX
from cardiolabel.studies.corrections import Correction
from lib.api import received
from lib.api.schemas import LabelParams, LabelText, Number, TagName
from lib.files import temporary
from lib.security.roles import Role, needs
from lib.server.engine import Engine
from lib.server.errors import refused

router = APIRouter(tags=["Labels"])

Reader = Annotated[User, needs(Role.USER)]
Annotator = Annotated[User, needs(Role.ANNOTATOR)]
Administrator = Annotated[User, needs(Role.ADMIN)]


@router.put("/datastore/label", tags=["Datastore"], summary="Save a corrected mask and measure its patient")
def save_label(
    image: str,
    label: Annotated[UploadFile, File()],
    user: Annotator,
    response: Response,
    params: LabelText = "{}",
    tag: TagName = FINAL,
    if_match: Annotated[str | None, Header()] = None,
) -> dict[str, Any]:
    """Save a mask, as MONAI Label's endpoint does; the answer has the new version and the patient's new
    measurements.

    If the label changed since it was opened, saving returns 409 Conflict and keeps both masks. What was
    opened is ``base_version`` in the params or ``If-Match``, else the version when the image was handed out.
    ``allow_empty`` in the params accepts a mask without labelled pixels.
    """
    info = received.params(LabelParams, params).model_dump(mode="json", exclude_unset=True)
    with temporary.folder() as folder:
        path = received.upload(label, folder)
        saved = app_instance().datastore().save(image, path, tag or FINAL, info=info, base=_version(if_match))
    return answer_saved(saved, response)


@router.get("/datastore/label", tags=["Datastore"], summary="Download a mask")
def label_file(
    label: str,
    tag: TagName,
    user: Reader,
    stored: Annotated[bool, Query(description="The file as it is in the studies folder.")] = False,
) -> Response:
    """Download a mask, as MONAI Label's endpoint does; ``ETag`` is the version, for ``If-Match`` when saving.

    The mask lies on the image as viewers show it: with three axes, and a cine's frames as far apart as there.
    """
    engine = app_instance().engine
    store = engine.store
    current = store.label(label, tag)
    if current is None:
        raise refused(404, "unknown_label", f"{label[:80]}: there is no label {tag[:80]!r}")
    path = store.label_path(label, tag)
    headers = {"ETag": f'"{current.number}"'}
    content = None if stored else _as_shown(engine, label, path)
    if content is not None:
        name = quote(path.name)
        named = f'filename="{name}"' if name == path.name else f"filename*=utf-8''{name}"
        headers["Content-Disposition"] = f"attachment; {named}"
        return Response(content, media_type="application/gzip", headers=headers)
    return FileResponse(path, media_type="application/gzip", filename=path.name, headers=headers)


@router.head("/datastore/label", tags=["Datastore"], summary="Whether there is a mask")
def check(image: str, tag: TagName, user: Reader) -> Response:
    """Return whether there is a label, as MONAI Label's endpoint does."""
    current = app_instance().engine.store.label(image, tag)
    if current is None:
        raise refused(404, "unknown_label", f"{image[:80]}: there is no label {tag[:80]!r}")
    return Response(headers={"ETag": f'"{current.number}"'})


@router.delete("/datastore/label", tags=["Datastore"], summary="Remove a mask; its versions are kept")
def remove(id: str, tag: TagName, user: Administrator) -> dict[str, str]:
    """Remove a label, as MONAI Label's endpoint does."""
    app_instance().datastore().remove_label(id, tag)
    return {}


@router.get("/datastore/label/info", tags=["Datastore"], summary="What is known of a mask")
def info(label: str, tag: TagName, user: Reader) -> Any:
    """Return a label's data, as MONAI Label's endpoint does, and the patient's measurements with it."""
    return app_instance().datastore().get_label_info(label, tag)


@router.get("/cardiac/labels/{image}/versions", summary="Every version of a label")
def versions(image: str, user: Reader, tag: TagName = FINAL) -> list[dict[str, Any]]:
    """Return the versions, oldest first: author, time, origin, model, EF before and after."""
    engine = app_instance().engine
    engine.studies.record(image)
    current = engine.store.label(image, tag)
    number = current.number if current else None
    return [version.as_json(current=version.number == number) for version in engine.store.history(image, tag)]


@router.get("/cardiac/labels/{image}/versions/{version}", summary="Download one version of a label")
def version_file(
    image: str, version: Annotated[int, PathParameter(ge=1, le=2**31 - 1)], user: Reader, tag: TagName = FINAL
) -> FileResponse:
    """Return the mask of a version."""
    _, path = app_instance().engine.store.version(image, tag, version)
    name = f"{image}.{tag}.{version}{SUFFIX}"
    return FileResponse(path, media_type="application/gzip", filename=name)


@router.post("/cardiac/labels/{image}/rollback", summary="Make an earlier version of a label the current one")
def roll_back(
    image: str, version: Number, user: Annotator, response: Response, tag: TagName = FINAL
) -> dict[str, Any]:
    """Make an earlier version current, as a new version; the answer is that of saving."""
    return answer_saved(app_instance().datastore().roll_back(image, version, tag), response)


def author(user: User) -> str:
    """Return the login's name of the sender; empty without login."""
    return str(user.username) if settings.MONAI_LABEL_AUTH_ENABLE else ""


def answer_saved(saved: Correction, response: Response) -> dict[str, Any]:
    """Return the answer to a saved label: its version and the patient's measurements."""
    version = saved.version
    response.headers["ETag"] = f'"{version.number}"'
    return {
        "image": version.image_id,
        "label": version.image_id,
        "tag": version.tag,
        "version": version.number,
        "measurement": saved.measurement,
    }


def _as_shown(engine: Engine, image_id: str, path: Path) -> bytes | None:
    """Return a label's file in the geometry that viewers show its image in; None if its own is that."""
    record = engine.studies.record(image_id)
    try:
        flat = len(read_image_grid(record.path).shape) == 2
        if not flat and engine.viewer_images.opens_itself(record):
            return None
        with engine.studies.memory(record):
            frames = engine.studies.masked(record, path).masks
            return nifti.mask_bytes(frames, engine.viewer_images.grid(record), compressed=True)
    except InputError:
        return None  # the client that opens it is told what is wrong with it


def _version(if_match: str | None) -> int | None:
    if if_match is None:
        return None
    number = if_match.strip().removeprefix("W/").strip('"')
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        raise refused(422, "bad_version", f"If-Match {if_match!r}: expected a version's number in quotes")
    return int(number)
