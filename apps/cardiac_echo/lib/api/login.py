"""Login of programs such as 3D Slicer: a token for a user name and a password."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.security import OAuth2PasswordRequestForm
from monailabel.config import settings
from monailabel.endpoints.user.auth import User

from lib.security.password_login import token_for_password
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


@router.post("/token", summary="A token for a user name and a password")
async def token(request: Request, form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, Any]:
    """Exchange a password for a token, as MONAI Label's endpoint does; guesses are limited."""
    address = request.client.host if request.client else ""
    access_token = await token_for_password(form.username, form.password, address)
    return {"access_token": access_token, "token_type": "Bearer"}


@router.get("/token/valid", summary="Whom a token names, and their roles")
def valid(user: Annotated[User, needs(Role.USER)]) -> dict[str, Any]:
    """Return the user of a token, as MONAI Label's endpoint does."""
    fields: dict[str, Any] = user.model_dump()
    return fields
