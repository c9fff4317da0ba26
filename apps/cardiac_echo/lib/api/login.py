"""Tokens for passwords, for clients such as 3D Slicer that ask for both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from anyio import CapacityLimiter
from fastapi import APIRouter, Depends, Request
from fastapi.security import OAuth2PasswordRequestForm
from monailabel.config import settings
from starlette.exceptions import HTTPException

from lib.security.attempts import Attempts
from lib.security.login import realm
from lib.security.realm import unavailable
from lib.server.errors import refused

router = APIRouter()

MAX_NAME, MAX_PASSWORD = 256, 1024
"""Largest lengths of user name and password."""

_AT_ONCE, _WAITING = 8, 200
"""Passwords checked at once, and waiting, so that simultaneous guesses are counted one by one."""

_attempts = Attempts()
_places = CapacityLimiter(_AT_ONCE)


@router.post("/auth/token", tags=["Auth"], summary="A token for a user name and a password")
async def token(request: Request, form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, Any]:
    """Exchange a password for a token, as MONAI Label's endpoint does; the realm checks it, and guesses are
    limited.
    """
    if len(form.username) > MAX_NAME or len(form.password) > MAX_PASSWORD:
        message = (
            f"expected a user name of at most {MAX_NAME} and a password of at most {MAX_PASSWORD} letters"
        )
        raise refused(422, "bad_request", message)
    address = request.client.host if request.client else ""
    async with _place():
        _attempts.check(form.username, address)
        try:
            answer = await realm().log_in(form.username, form.password)
        except HTTPException as error:
            if error.status_code == 401:
                _attempts.fail(form.username, address)
            raise
    _attempts.succeed(form.username, address)
    return answer


@asynccontextmanager
async def _place() -> AsyncIterator[None]:
    """Wait for a free place, no longer than for the realm itself."""
    if _places.statistics().tasks_waiting >= _WAITING:
        raise unavailable()
    try:
        async with asyncio.timeout(settings.MONAI_LABEL_AUTH_TIMEOUT):
            await _places.acquire()
    except TimeoutError:
        raise unavailable() from None
    try:
        yield
    finally:
        _places.release()
