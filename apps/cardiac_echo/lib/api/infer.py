"""Inference on one image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, File, UploadFile
from monailabel.endpoints.infer import ResultType, send_response
from monailabel.interfaces.utils.app import app_instance

from lib.api import received
from lib.api.schemas import InferParams, InferText
from lib.api.sessions import session_info
from lib.files import temporary
from lib.security.roles import Role, needs
from lib.server.errors import refused

router = APIRouter(dependencies=[needs(Role.USER)])


@router.post("/infer/{model}", tags=["Infer"], summary="Masks and measurements of one image")
def infer(
    background: BackgroundTasks,
    model: str,
    image: str = "",
    session_id: str = "",
    params: InferText = "{}",
    file: Annotated[UploadFile | None, File()] = None,
    output: ResultType | None = None,
) -> Any:
    """Predict an image id, an uploaded file or a session, as MONAI Label's endpoint does.

    ``save_label``, for annotators, stores the mask as the image's label of tag ``original``.
    """
    if output is ResultType.dicom_seg:
        raise refused(422, "unsupported_output", "output=dicom_seg: expected image, json or all")
    app = app_instance()
    fields = received.params(InferParams, params).model_dump(mode="json")
    request = {**fields, "model": model, "image": image}
    if session_id:
        request["image"] = Path(session_info(session_id).image)
    elif file is None and not image:
        raise refused(422, "no_image", "expected an image id, a file or a session id")
    if file is None or session_id:
        result = app.infer(request)
    else:
        with temporary.folder() as folder:
            result = app.infer({**request, "image": received.upload(file, folder)})
    return send_response(app.datastore(), result, output, background)
