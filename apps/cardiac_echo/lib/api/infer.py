"""Inference."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, File, Form, UploadFile
from monailabel.config import settings
from monailabel.endpoints.infer import ResultType, send_response
from monailabel.endpoints.user.auth import RBAC
from monailabel.interfaces.utils.app import app_instance

from lib.api import received
from lib.api.sessions import known
from lib.errors import refused

router = APIRouter(dependencies=[Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))])

OURS = frozenset({"model", "image", "session"})
"""Parts of a request that its params cannot replace."""


@router.post("/infer/{model}", tags=["Infer"], summary="Masks and measurements of one image")
def infer(
    background: BackgroundTasks,
    model: str,
    image: str = "",
    session_id: str = "",
    params: Annotated[str, Form()] = "{}",
    file: Annotated[UploadFile | None, File()] = None,
    output: ResultType | None = None,
) -> Any:
    """As MONAI Label's endpoint, for an image id, an uploaded file or a session."""
    if output is ResultType.dicom_seg:
        raise refused(422, "unsupported_output", "output=dicom_seg: expected image, json or all")
    app = app_instance()
    request = {key: value for key, value in received.json_object(params).items() if key not in OURS}
    request |= {"model": model, "image": image}
    if session_id:
        request["image"] = Path(known(session_id).image)
    elif file is None and not image:
        raise refused(422, "no_image", "expected an image id, a file or a session id")
    if file is None or session_id:
        result = app.infer(request)
    else:
        with tempfile.TemporaryDirectory(prefix="cardiolabel-") as folder:
            result = app.infer({**request, "image": received.upload(file, Path(folder))})
    return send_response(app.datastore(), result, output, background)
