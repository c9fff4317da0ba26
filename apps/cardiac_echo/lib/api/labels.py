"""Corrected masks."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, UploadFile
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.utils.app import app_instance

from lib.api import received

router = APIRouter()


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
    info = received.json_object(params)
    with tempfile.TemporaryDirectory(prefix="cardiolabel-") as folder:
        path = received.upload(label, Path(folder))
        tag = tag or DefaultLabelTag.FINAL.value
        label_id = app.datastore().save_label(image, path, tag, info)
    return {**app.measure_saved(image, label_id, tag), "image": image, "label": label_id}
