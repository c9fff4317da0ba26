"""Loading everything anew."""

from __future__ import annotations

from fastapi import APIRouter
from monailabel.interfaces.utils.app import app_instance

from lib.security.roles import Role, needs

router = APIRouter(dependencies=[needs(Role.ADMIN)])


@router.post("/reload", tags=["Others"], summary="Read the models and the studies folder anew")
def reload() -> dict[str, str]:
    """In the app that runs; MONAI Label's endpoint makes a second one beside it."""
    app_instance().reload()
    return {}
