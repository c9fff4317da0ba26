"""Login with a name and a password, of a local account or of the realm; guesses are limited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from monailabel.config import settings
from monailabel.endpoints.user.auth import User
from starlette.exceptions import HTTPException

from lib.security.attempts import Attempts
from lib.security.audit_entry import note_login
from lib.security.local_accounts import accounts, user_of_account, uses_accounts
from lib.security.login_sessions import login_sessions
from lib.security.realm import bad_credentials, unavailable
from lib.security.realm_tokens import realm
from lib.security.roles import not_logged_in
from lib.server.errors import refused

MAX_NAME, MAX_PASSWORD = 256, 1024
"""Largest lengths of user name and password."""

_AT_ONCE, _WAITING = 8, 200
"""Passwords checked at once, and waiting, so that simultaneous guesses are counted one by one."""

_attempts = Attempts()
_places = CapacityLimiter(_AT_ONCE)
_hashing = CapacityLimiter(1)
"""Argon2 takes 64 MB and all of a core for some 50 ms."""


@dataclass(frozen=True)
class AccountIdentity:
    """A login with a local account; it ends with the password, the lock or the account."""

    name: str
    password_hash: str

    async def user(self) -> User:
        """Return the user with the account's present role."""
        account = accounts().get(self.name)
        if account is None or account.locked or account.password_hash != self.password_hash:
            raise not_logged_in("the login has ended; log in again")
        return user_of_account(account)


async def token_for_password(username: str, password: str, address: str) -> str:
    """Return a token for a name and its password.

    Raises
    ------
    HTTPException
        401: there is no such pair. 422: too long. 429: too many failures. 503: the realm does not answer.
    """
    if len(username) > MAX_NAME or len(password) > MAX_PASSWORD:
        message = (
            f"expected a user name of at most {MAX_NAME} and a password of at most {MAX_PASSWORD} letters"
        )
        raise refused(422, "bad_request", message)
    async with _place():
        _attempts.check(username, address)
        try:
            token = await (_account_token if uses_accounts() else realm().log_in)(username, password)
        except HTTPException as error:
            if error.status_code == 401:
                _attempts.fail(username, address)
            raise
    _attempts.succeed(username, address)
    return token


async def check_right(username: str, password: str, address: str) -> None:
    """Refuse a wrong password of a local account; failures count as those of a login.

    Raises
    ------
    HTTPException
        403: it is wrong. 429: too many failures.
    """
    _attempts.check(username, address)
    if await run_sync(accounts().log_in, username, password, limiter=_hashing) is None:
        _attempts.fail(username, address)
        raise refused(403, "bad_credentials", "the present password is another")


async def _account_token(username: str, password: str) -> str:
    account = await run_sync(accounts().log_in, username, password, limiter=_hashing)
    if account is None:
        raise bad_credentials()
    note_login(account.name)
    return login_sessions().begin(AccountIdentity(account.name, account.password_hash))


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
