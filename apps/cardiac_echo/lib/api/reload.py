"""Loading everything anew."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC
from monailabel.interfaces.utils.app import app_instance

router = APIRouter(dependencies=[Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))])


@router.post("/reload", tags=["Others"], summary="Read the models and the studies folder anew")
def reload() -> dict[str, str]:
    """In the app that runs; MONAI Label's endpoint makes a second one beside it."""
    app_instance().reload()
    return {}
