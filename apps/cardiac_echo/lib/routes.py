"""HTTP routes of this app, beside MONAI Label's own.

The endpoints are plain functions, so that they run in the thread pool and a prediction does not keep
``/info`` waiting.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, File, Form, Response, UploadFile
from monailabel.config import settings
from monailabel.endpoints.infer import ResultType, send_response
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.utils.app import app_instance
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from lib import errors, guard

router = APIRouter(dependencies=[Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))])

OURS = frozenset({"model", "image", "session"})
"""Parts of a request that its params cannot replace."""


def install() -> None:
    """Add routes, error answers and the guard to MONAI Label's API, once per process."""
    from monailabel.app import app as api  # the server has it; the processes that train must not make another

    if not getattr(api.state, "cardiolabel", False):
        api.state.cardiolabel = True
        _install(api)


def _install(api: FastAPI) -> None:
    errors.install(api)
    api.include_router(router)
    # Ahead of MONAI Label's, whose /infer/{model} and PUT /datastore/label these replace.
    api.router.routes.insert(0, api.router.routes.pop())
    # MONAI Label lets every web page in, with credentials.
    api.user_middleware[:] = [one for one in api.user_middleware if one.cls is not CORSMiddleware]
    api.user_middleware.insert(0, Middleware(guard.Guard))
    if origins := guard.allowed_origins():
        api.user_middleware.insert(
            0,
            Middleware(
                CORSMiddleware,
                allow_origins=origins,
                allow_credentials=True,
                allow_methods=["*"],
                allow_headers=["*"],
            ),
        )
    # The stack is made when the server starts, before the app is; the next request makes it anew.
    api.middleware_stack = None


@router.get(
    "/cardiac/patients", tags=["Cardiac"], summary="Every patient, with what is known without inference"
)
def patients() -> list[dict[str, Any]]:
    """Rows of the patient table."""
    return app_instance().engine.studies.summary()


@router.get("/cardiac/patients/{patient}", tags=["Cardiac"], summary="One patient's volumes and EF")
def patient(patient: str) -> dict[str, Any]:
    """Measured from each image's best mask: final label, else original, else the model's."""
    return app_instance().engine.studies.patient_json(patient)


@router.get("/cardiac/patients/{patient}/figure.png", tags=["Cardiac"], summary="One patient's report figure")
def figure(patient: str) -> Response:
    """The figure that goes with `patient`."""
    return Response(app_instance().engine.studies.figure_png(patient), media_type="image/png")


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
        raise errors.refused(422, "unsupported_output", "output=dicom_seg: expected image, json or all")
    app = app_instance()
    request = {key: value for key, value in _object(params).items() if key not in OURS}
    request |= {"model": model, "image": image}
    with tempfile.TemporaryDirectory(prefix="cardiolabel-") as folder:
        if session_id:
            request["image"] = _session_image(session_id)
        elif file is not None:
            request["image"] = _received(file, Path(folder))
        elif not image:
            raise errors.refused(422, "no_image", "expected an image id, a file or a session id")
        result = app.infer(request)
    return send_response(app.datastore(), result, output, background)


@router.put("/datastore/label", tags=["Datastore"], summary="Save a corrected mask and measure its patient")
def save_label(
    image: str,
    label: Annotated[UploadFile, File()],
    user: Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))],
    params: Annotated[str, Form()] = "{}",
    tag: str = DefaultLabelTag.FINAL.value,
) -> dict[str, Any]:
    """As MONAI Label's endpoint; the answer carries the patient's new measurement."""
    app = app_instance()
    info = _object(params)
    with tempfile.TemporaryDirectory(prefix="cardiolabel-") as folder:
        path = _received(label, Path(folder))
        tag = tag or DefaultLabelTag.FINAL.value
        label_id = app.datastore().save_label(image, path, tag, info)
    return {**app.measure_saved(image, label_id, tag), "image": image, "label": label_id}


def _object(params: str) -> dict[str, Any]:
    try:
        value = json.loads(params or "{}")
    except json.JSONDecodeError as error:
        raise errors.refused(422, "bad_params", f"params: expected a JSON object ({error})") from None
    if not isinstance(value, dict):
        raise errors.refused(422, "bad_params", f"params: expected a JSON object, got {type(value).__name__}")
    return value


def _session_image(session_id: str) -> Path:
    session = app_instance().sessions().get_session(session_id)
    if session is None:
        raise errors.refused(404, "unknown_session", f"no session {session_id!r}; it may have expired")
    return Path(session.image)


def _received(file: UploadFile, folder: Path) -> Path:
    # The name tells the view, and messages repeat it.
    name = re.sub(r"[^A-Za-z0-9._-]", "_", Path(file.filename or "").name).lstrip(".")
    path = folder / (name or "upload")
    with path.open("wb") as target:
        shutil.copyfileobj(file.file, target)
    return path
