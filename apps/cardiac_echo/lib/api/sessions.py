"""Sessions: an image that is uploaded once and used by several requests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, UploadFile
from fastapi.responses import FileResponse
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.sessions import SessionInfo

from cardiolabel.inference.image_cost import check_upload
from cardiolabel.io import nifti
from lib.api import received
from lib.files import temporary
from lib.files.conversion import SUFFIXES, converted
from lib.files.sessions import UploadSessions, is_session_id
from lib.security.archives import unpack
from lib.security.environment import MB, environment
from lib.security.roles import Role, needs
from lib.server.errors import refused

router = APIRouter(tags=["Session"], dependencies=[needs(Role.USER)])


@router.put("/session/", summary="Keep an image for later requests")
def create(
    files: Annotated[list[UploadFile], File()], uncompress: bool = False, expiry: int = 0
) -> dict[str, Any]:
    """Store one image, or with ``uncompress`` an archive with one, as MONAI Label's endpoint does."""
    with temporary.folder() as folder:
        image, _ = converted(_image(files, folder, uncompress))
        check_upload(image)
        session_id, info = sessions().add(image, max(0, expiry))
    return {"session_id": session_id, "session_info": _shown(info)}


@router.get("/session/{session_id}", summary="A session, or its image")
def session(session_id: str, update_ts: bool = False, image: bool = False) -> Any:
    """Return a session, as MONAI Label's endpoint does, without the image's path."""
    info = session_info(session_id, update=update_ts)
    if image:
        path = Path(info.image)
        return FileResponse(path, media_type="application/octet-stream", filename=path.name)
    return _shown(info)


@router.delete("/session/{session_id}", summary="Remove a session and its image")
def remove(session_id: str) -> dict[str, Any]:
    """Remove a session, as MONAI Label's endpoint does."""
    info = session_info(session_id)
    sessions().remove_session(session_id)
    return _shown(info)


def session_info(session_id: str, *, update: bool = True) -> SessionInfo:
    """Return a session of this server.

    Raises
    ------
    HTTPException
        404: there is none of that id.
    """
    info = sessions().get_session(session_id, update_ts=update) if is_session_id(session_id) else None
    if info is None:
        raise refused(404, "unknown_session", f"no session {session_id[:80]!r}; it may have expired")
    return info


def sessions() -> UploadSessions:
    """Return the server's sessions."""
    uploads: UploadSessions | None = app_instance().sessions()
    if uploads is None:
        raise refused(404, "no_sessions", "sessions are switched off (MONAI_LABEL_SESSIONS)")
    return uploads


def _image(files: list[UploadFile], folder: Path, uncompress: bool) -> Path:
    """Return the one image of an upload, within a folder."""
    if len(files) != 1:
        raise refused(422, "not_one_image", f"expected one file, got {len(files)}")
    path = received.upload(files[0], folder)
    if not uncompress:
        return path
    inside = folder / "unpacked"
    inside.mkdir()
    images = unpack(
        path,
        inside,
        is_wanted=lambda name: Path(name).name.lower().endswith((*nifti.SUFFIXES, *SUFFIXES)),
        max_bytes=environment().max_image_mb * MB,
    )
    if len(images) != 1:
        raise refused(422, "not_one_image", f"expected one image in the archive, it holds {len(images)}")
    return images[0]


def _shown(info: SessionInfo) -> dict[str, Any]:
    return {**info.to_json(), "path": "", "image": Path(info.image).name}
