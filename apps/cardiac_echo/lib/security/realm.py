"""The login server: its signing keys, and tokens for passwords.

Keys are fetched in the background, never twice at once, and kept ones serve while the login server does not
answer.
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Any

import jwt
import requests
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from monailabel.config import settings
from starlette.exceptions import HTTPException

from lib.security import realm_answers
from lib.server.errors import refused

KEPT_S, AGAIN_S, FAILED_S = 600, 30, 5
"""Seconds for which keys are kept, and until they are fetched again for an unknown key or after a failure."""

LONGEST_KEPT_S = 24 * 3600
"""Seconds for which keys serve while the realm does not answer; its tokens end much earlier."""

_THREADS_FOR_KEYS, _THREADS_FOR_LOGINS = 4, 16
"""Threads apart from those that answer requests, in case the realm hangs."""


class Realm:
    """An OpenID Connect realm, found by its discovery document or at Keycloak's own address.

    Parameters
    ----------
    uri : str
        The realm, which tokens name as their issuer.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        self._keys: dict[str | None, Any] = {}
        self._fetched_at = self._failed_at = -float(LONGEST_KEPT_S)
        self._fetching: asyncio.Task[None] | None = None
        self._for_keys = CapacityLimiter(_THREADS_FOR_KEYS)
        self._for_logins = CapacityLimiter(_THREADS_FOR_LOGINS)

    async def key(self, kid: str | None, *, again: bool = False) -> Any:
        """Return the public key of a token; None where the realm has no such key.

        Parameters
        ----------
        kid : str or None
            The token's key id.
        again : bool
            The key that is kept did not fit; fetch it anew unless that was just done.

        Raises
        ------
        HTTPException
            503: the key is not kept, and the realm does not answer.
        """
        age_s = time.monotonic() - self._fetched_at
        key = self._kept(kid) if age_s < LONGEST_KEPT_S else None
        if key is not None and not again:
            if age_s > KEPT_S and self._may_ask():
                self._fetch()  # whoever has this key does not wait for it
            return key
        if age_s < AGAIN_S:
            return key
        if self._fetching is None and not self._may_ask():
            if key is None:
                raise unavailable()
            return key
        await asyncio.wait([self._fetch()], timeout=settings.MONAI_LABEL_AUTH_TIMEOUT)
        if key is None and time.monotonic() - self._fetched_at >= AGAIN_S:
            raise unavailable()
        return self._kept(kid)

    async def log_in(self, username: str, password: str) -> str:
        """Exchange a password for an access token.

        Raises
        ------
        HTTPException
            401: the realm knows no such user and password. 503: it does not answer.
        """
        try:
            async with asyncio.timeout(settings.MONAI_LABEL_AUTH_TIMEOUT):
                return await run_sync(
                    self._token, username, password, limiter=self._for_logins, abandon_on_cancel=True
                )
        except (TimeoutError, requests.RequestException, ValueError) as error:
            raise unavailable() from error

    def _kept(self, kid: str | None) -> Any:
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid, self._keys.get(None))

    def _may_ask(self) -> bool:
        return time.monotonic() - self._failed_at >= FAILED_S

    def _fetch(self) -> asyncio.Task[None]:
        """Fetch the keys, unless that is under way."""
        if self._fetching is None:
            self._fetching = asyncio.get_running_loop().create_task(self._fetch_keys())
        return self._fetching

    async def _fetch_keys(self) -> None:
        try:
            async with asyncio.timeout(settings.MONAI_LABEL_AUTH_TIMEOUT):
                self._keys = await run_sync(
                    realm_answers.keys, self.uri, limiter=self._for_keys, abandon_on_cancel=True
                )
            self._fetched_at = time.monotonic()
        except (TimeoutError, requests.RequestException, ValueError, jwt.PyJWTError):
            self._failed_at = time.monotonic()
        finally:
            self._fetching = None

    def _token(self, username: str, password: str) -> str:
        data = {
            "client_id": settings.MONAI_LABEL_AUTH_CLIENT_ID,
            "username": username,
            "password": password,
            "grant_type": "password",
        }
        status, token = realm_answers.post(realm_answers.endpoint(self.uri, "token_endpoint"), data)
        if status in (400, 401):
            raise bad_credentials()
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise unavailable()
        access_token = token.get("access_token")
        if not isinstance(access_token, str):
            raise unavailable()
        return access_token


def bad_credentials() -> HTTPException:
    """Return the error for a name and a password that do not belong together."""
    return refused(
        401,
        "bad_credentials",
        "expected a known user name and its password",
        headers={"WWW-Authenticate": "Bearer"},
    )


def unavailable() -> HTTPException:
    """Return the error for a login server that does not answer."""
    return refused(
        503,
        "login_unavailable",
        "the login server does not answer; try again, or tell your administrator",
        headers={"Retry-After": str(FAILED_S)},
    )
