"""Images of the studies folder: adding, downloading and removing them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Header, Query, Response, UploadFile
from fastapi.responses import FileResponse
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.others.generic import file_checksum

from cardiolabel.store.image_files import sha256
from cardiolabel.system.readable_text import readable_text
from lib.api import received
from lib.api.labels import author
from lib.api.schemas import NotesText
from lib.files import temporary
from lib.security.roles import Role, needs, require
from lib.server.errors import refused

router = APIRouter(tags=["Datastore"])

Reader = needs(Role.USER)
Administrator = Annotated[User, needs(Role.ADMIN)]
Annotator = Annotated[User, needs(Role.ANNOTATOR)]

Stored = Annotated[bool, Query(description="The file as it is in the studies folder.")]

Replace = Annotated[
    bool,
    Query(
        description="Replace the image, for administrators: by a file of the same shape and place, with the"
        " checksum of the old one in If-Match, which is the ETag of its download with stored=true."
    ),
]

_CHECKSUM = re.compile(r"(?:(SHA256|SHA512|MD5):)?([0-9a-fA-F]{32,128})")
_SHA256_DIGITS = 64


@router.put("/datastore/", include_in_schema=False)
@router.put("/datastore/image", summary="Add an image, or replace one")
def add(
    file: Annotated[UploadFile, File()],
    user: Annotator,
    image: str | None = None,
    params: NotesText = "{}",
    replace: Replace = False,
    if_match: Annotated[str | None, Header()] = None,
) -> dict[str, Any]:
    """Add an image, as MONAI Label's endpoint does; without ``image`` the file's name becomes the id.

    Adding the same file again is no error. Another file under a name that is taken, or could be confused with
    one, is answered with 409.
    """
    notes = received.json_object(params)
    if replace:
        require(Role.ADMIN)
    if name := author(user):
        notes["user"] = name
    with temporary.folder() as folder:
        path = received.upload(file, folder)
        if replace:
            return _replace(image or "", path, if_match, user)
        return {"image": app_instance().datastore().add_image(image or "", str(path), notes)}


@router.delete("/datastore/", include_in_schema=False)
@router.delete("/datastore/image", summary="Remove an image and its labels")
def remove(id: str, user: Administrator) -> dict[str, Any]:
    """Remove an image, as MONAI Label's endpoint does; its labels' versions are kept, and the id is reserved
    for the same file.
    """
    app_instance().datastore().remove_image(id, author=author(user))
    return {"image": id, "kept": ["versions of its labels", "checksum of its file"]}


@router.head("/datastore/image", summary="Whether an image is there", dependencies=[Reader])
def check(image: str, check_sum: str | None = None, stored: Stored = False) -> Response:
    """Compare a download's checksum ``SHA256:…``, ``SHA512:…`` or ``MD5:…``, as MONAI Label's endpoint
    does.
    """
    path = _download(image, stored)
    if check_sum:
        match = _CHECKSUM.fullmatch(check_sum)
        if match is None:
            raise refused(422, "bad_checksum", "expected SHA256:, SHA512: or MD5: and hexadecimal digits")
        algorithm = match[1] or "SHA256"
        if file_checksum(str(path), algo=algorithm) != f"{algorithm}:{match[2].lower()}":
            raise refused(404, "unknown_image", "there is another image of that id")
    return Response(headers=_etag(path, stored))


@router.get("/datastore/image", summary="Download an image", dependencies=[Reader])
def download(image: str, stored: Stored = False) -> FileResponse:
    """Return the image as viewers show it: its file, or for a cine a copy with frames further apart."""
    path = _download(image, stored)
    name = readable_text(_path(image).name)
    headers = _etag(path, stored)
    return FileResponse(path, media_type="application/octet-stream", filename=name, headers=headers)


@router.get("/datastore/image/info", summary="What is known of an image", dependencies=[Reader])
def info(image: str) -> Any:
    """Return an image's data, as MONAI Label's endpoint does."""
    return app_instance().datastore().get_image_info(image)


@router.put("/datastore/image/info", summary="Note something of an image")
def note(image: str, user: Annotator, info: NotesText = "{}") -> None:
    """Store notes on an image, as MONAI Label's endpoint does."""
    app_instance().datastore().update_image_info(image, _notes(info, user))


@router.put("/datastore/label/info", summary="Note something of a label")
def note_label(label: str, tag: str, user: Annotator, info: NotesText = "{}") -> None:
    """Store notes on a label, as MONAI Label's endpoint does."""
    app_instance().datastore().update_label_info(label, tag, _notes(info, user))


@router.put("/datastore/updatelabelinfo", include_in_schema=False)
def note_label_params(label: str, tag: str, user: Annotator, params: NotesText = "{}") -> None:
    """Store notes on a label, as older versions of MONAI Label do."""
    app_instance().datastore().update_label_info(label, tag, _notes(params, user))


def _path(image: str) -> Path:
    uri = app_instance().datastore().get_image_uri(image)
    if not uri or not Path(uri).is_file():
        raise refused(404, "unknown_image", f"no image {image[:80]!r} in this studies folder")
    return Path(uri)


def _download(image: str, stored: bool) -> Path:
    """Return the file that a client downloads for an image."""
    path, engine = _path(image), app_instance().engine
    record = engine.studies.record(image)
    if stored or engine.viewer_images.opens_itself(record):
        return path
    return Path(engine.viewer_images.get(record).path)


def _replace(image: str, path: Path, if_match: str | None, user: User) -> dict[str, Any]:
    checksum = _CHECKSUM.fullmatch((if_match or "").strip().removeprefix("W/").strip('"'))
    if checksum is None or checksum[1] not in (None, "SHA256") or len(checksum[2]) != _SHA256_DIGITS:
        message = 'to replace an image, send its file\'s checksum: If-Match: "SHA256:…"'
        raise refused(428, "checksum_needed", message)
    replaced = (
        app_instance().datastore().images.replace(image, path, checksum=checksum[2], author=author(user))
    )
    return {
        "image": replaced.image_id,
        "version": replaced.version,
        "checksum": f"SHA256:{replaced.checksum}",
    }


def _etag(path: Path, stored: bool) -> dict[str, str]:
    """Return the checksum of an image's own file, which replacing it requires."""
    return {"ETag": f'"SHA256:{sha256(path)}"'} if stored else {}


def _notes(text: str, user: User) -> dict[str, Any]:
    notes = received.json_object(text, what="info")
    return {**notes, "user": name} if (name := author(user)) else notes
