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
"""Longest user name and password, in letters."""

_AT_ONCE, _WAITING = 8, 200
"""Passwords that are checked at a time, so that many guesses at once count one after the other."""

_attempts = Attempts()
_places = CapacityLimiter(_AT_ONCE)


@router.post("/auth/token", tags=["Auth"], summary="A token for a user name and a password")
async def token(request: Request, form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, Any]:
    """As MONAI Label's endpoint; the realm checks the password, which may not be guessed often."""
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
    """Wait for one of the places, though no longer than for the realm itself."""
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
