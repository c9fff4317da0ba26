"""Tokens for passwords, for clients such as 3D Slicer that ask for both."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.security import OAuth2PasswordRequestForm

from lib.security.login import realm

router = APIRouter()


@router.post("/auth/token", tags=["Auth"], summary="A token for a user name and a password")
def token(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, Any]:
    """As MONAI Label's endpoint; the realm checks the password."""
    return realm().log_in(form.username, form.password)
