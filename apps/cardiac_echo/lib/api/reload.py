"""Reloading of models and the studies folder."""

from __future__ import annotations

from fastapi import APIRouter
from monailabel.interfaces.utils.app import app_instance

from lib.security.roles import Role, needs

router = APIRouter(dependencies=[needs(Role.ADMIN)])


@router.post("/reload", tags=["Others"], summary="Read the models and the studies folder anew")
def reload() -> dict[str, str]:
    """Reload within the running app; MONAI Label's endpoint would make a second app."""
    app_instance().reload()
    return {}
