"""Login settings, and the check of a token."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from monailabel.config import settings
from monailabel.endpoints.user.auth import User

from lib.security.roles import Role, needs

router = APIRouter(prefix="/auth", tags=["Auth"])


@router.get("/", summary="Whether there is login")
def login() -> dict[str, Any]:
    """Return whether there is login, as MONAI Label's endpoint does, without a token."""
    return {
        "enabled": settings.MONAI_LABEL_AUTH_ENABLE,
        "client_id": settings.MONAI_LABEL_AUTH_CLIENT_ID,
        "realm": settings.MONAI_LABEL_AUTH_REALM_URI,
    }


@router.get("/token/valid", summary="Whom a token names, and their roles")
def valid(user: Annotated[User, needs(Role.USER)]) -> dict[str, Any]:
    """Return the user of a token, as MONAI Label's endpoint does."""
    fields: dict[str, Any] = user.model_dump()
    return fields
