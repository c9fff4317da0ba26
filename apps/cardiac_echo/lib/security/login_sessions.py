"""People who are logged in, by the token of their login; a restart of the server ends all logins."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

from monailabel.endpoints.user.auth import User

from lib.security.environment import environment
from lib.security.roles import not_logged_in

_PREFIX = "cardiolabel-"
_MOST, _MOST_PER_USER = 10_000, 20


class Identity(Protocol):
    """Who logged in."""

    @property
    def name(self) -> str:
        """Name of the user."""
        ...

    async def user(self) -> User:
        """Return the user as they are now; raises HTTPException (401) where the login has ended."""


@dataclass
class _Login:
    identity: Identity
    begun_s: float = field(default_factory=time.monotonic)
    used_s: float = field(default_factory=time.monotonic)

    def has_ended(self) -> bool:
        now_s = time.monotonic()
        settings = environment()
        return (
            now_s - self.begun_s > 3600 * settings.login_hours
            or now_s - self.used_s > 60 * settings.login_idle_minutes
        )


class LoginSessions:
    """All logins by the hash of their token; the oldest end where there are too many."""

    def __init__(self) -> None:
        self._logins: OrderedDict[bytes, _Login] = OrderedDict()

    def begin(self, identity: Identity) -> str:
        """Return the token of a new login."""
        token = _PREFIX + secrets.token_urlsafe(32)
        of_user = [key for key, login in self._logins.items() if login.identity.name == identity.name]
        for key in of_user[: max(0, len(of_user) + 1 - _MOST_PER_USER)]:
            del self._logins[key]
        while len(self._logins) >= _MOST:
            self._logins.popitem(last=False)
        self._logins[_key(token)] = _Login(identity)
        return token

    async def user(self, token: str) -> User:
        """Return the user of a login.

        Raises
        ------
        HTTPException
            401: it has ended.
        """
        login = self._logins.get(_key(token))
        if login is None or login.has_ended():
            self._logins.pop(_key(token), None)
            raise not_logged_in("the login has ended; log in again")
        user = await login.identity.user()
        login.used_s = time.monotonic()
        return user

    def end(self, token: str) -> Identity | None:
        """End a login; returns whose it was."""
        login = self._logins.pop(_key(token), None)
        return login.identity if login else None


@cache
def login_sessions() -> LoginSessions:
    """Return the logins of this server."""
    return LoginSessions()


def is_session_token(token: str) -> bool:
    """Return whether a token is of a login here, and not of a realm."""
    return token.startswith(_PREFIX)


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
