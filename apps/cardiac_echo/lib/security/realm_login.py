"""Login in the browser at an OpenID Connect realm: authorization code with PKCE (RFC 6749, RFC 7636).

The tokens stay on the server; the browser gets the cookie of a login.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import requests
from anyio.to_thread import run_sync
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from monailabel.config import settings
from monailabel.endpoints.user.auth import User
from starlette.exceptions import HTTPException

from lib.security import realm_answers
from lib.security.environment import environment
from lib.security.realm import unavailable
from lib.security.realm_tokens import ExpiredError, realm, user_of
from lib.security.roles import not_logged_in
from lib.server.errors import refused

_LONGEST_S, _MOST = 600.0, 1000
"""Seconds that a login at the realm may take, and how many may be under way."""


@dataclass(frozen=True)
class PendingLogin:
    """A login under way: where it came from, and the secret that proves it at the end."""

    next_page: str
    redirect_uri: str
    verifier: str
    begun_s: float


class RealmIdentity:
    """A login at the realm, as long as the realm renews its access token."""

    def __init__(self, name: str, tokens: dict[str, Any]) -> None:
        self.name = name
        self._tokens = tokens
        self._renewing = asyncio.Lock()

    async def user(self) -> User:
        """Return the user with the roles of the present access token."""
        try:
            return await user_of(str(self._tokens["access_token"]))
        except ExpiredError:
            expired = self._tokens
        async with self._renewing:
            if self._tokens is expired:
                self._tokens = await _asked(_renewed, expired)
        try:
            return await user_of(str(self._tokens["access_token"]))
        except ExpiredError:
            raise not_logged_in("the login has ended; log in again") from None

    async def leave_address(self, back: str) -> str | None:
        """Return the realm's address that ends its own login, if it has one."""
        try:
            address = (await run_sync(realm_answers.discovery, realm().uri)).get("end_session_endpoint")
        except (requests.RequestException, ValueError):
            return None
        if not isinstance(address, str):
            return None
        fields = {"post_logout_redirect_uri": back, "client_id": settings.MONAI_LABEL_AUTH_CLIENT_ID}
        if "id_token" in self._tokens:
            fields["id_token_hint"] = str(self._tokens["id_token"])
        return f"{address}?{urlencode(fields)}"


class RealmLogins:
    """Logins under way by their state."""

    def __init__(self) -> None:
        self._pending: OrderedDict[str, PendingLogin] = OrderedDict()

    async def begin(self, next_page: str, redirect_uri: str) -> tuple[str, str]:
        """Return the address of the realm's own page, and the state of the login.

        Raises
        ------
        HTTPException
            503: the realm does not answer.
        """
        verifier = generate_token(64)
        address, state = await _asked(_authorization, redirect_uri, verifier)
        self._pending[state] = PendingLogin(next_page, redirect_uri, verifier, time.monotonic())
        while len(self._pending) > _MOST:
            self._pending.popitem(last=False)
        return address, state

    async def end(self, state: str, code: str) -> tuple[RealmIdentity, str]:
        """Return who logged in, and the page that they came from.

        Raises
        ------
        HTTPException
            401: the code is not accepted, or the login took too long. 503: the realm does not answer.
        """
        pending = self._pending.pop(state, None)
        if pending is None or time.monotonic() - pending.begun_s > _LONGEST_S:
            raise not_logged_in("the login took too long, or was not begun here; log in again")
        tokens = await _asked(_tokens, pending, code)
        try:
            user = await user_of(str(tokens["access_token"]))
        except ExpiredError:
            raise not_logged_in(
                "the realm's clock and this server's differ; tell your administrator"
            ) from None
        return RealmIdentity(str(user.username), tokens), pending.next_page


async def _asked(question: Any, *arguments: Any) -> Any:
    """Ask the realm in a thread of its own."""
    try:
        async with asyncio.timeout(settings.MONAI_LABEL_AUTH_TIMEOUT):
            return await run_sync(question, *arguments, abandon_on_cancel=True)
    except OAuthError as error:
        raise _refusal(error) from None
    except (TimeoutError, requests.RequestException, ValueError) as error:
        raise unavailable() from error


def _refusal(error: OAuthError) -> HTTPException:
    if error.error in ("invalid_grant", "access_denied"):
        return not_logged_in("the login has ended or was not accepted; log in again")
    return refused(503, "login_unavailable", f"the login server refuses this server ({error.error})")


def _client(redirect_uri: str | None = None) -> OAuth2Session:
    secret = environment().auth_client_secret.get_secret_value() or None
    return OAuth2Session(
        settings.MONAI_LABEL_AUTH_CLIENT_ID,
        secret,
        scope=environment().auth_scope,
        redirect_uri=redirect_uri,
        code_challenge_method="S256",
        token_endpoint_auth_method="client_secret_basic" if secret else "none",
        default_timeout=settings.MONAI_LABEL_AUTH_TIMEOUT,
    )


def _authorization(redirect_uri: str, verifier: str) -> tuple[str, str]:
    address = realm_answers.endpoint(realm().uri, "authorization_endpoint")
    with _client(redirect_uri) as client:
        answer: tuple[str, str] = client.create_authorization_url(address, code_verifier=verifier)
    return answer


def _tokens(pending: PendingLogin, code: str) -> dict[str, Any]:
    address = realm_answers.endpoint(realm().uri, "token_endpoint")
    with _client(pending.redirect_uri) as client:
        return _usable(client.fetch_token(address, code=code, code_verifier=pending.verifier))


def _renewed(tokens: dict[str, Any]) -> dict[str, Any]:
    if "refresh_token" not in tokens:
        raise OAuthError("invalid_grant")
    address = realm_answers.endpoint(realm().uri, "token_endpoint")
    with _client() as client:
        return {**tokens, **_usable(client.refresh_token(address, refresh_token=tokens["refresh_token"]))}


def _usable(tokens: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(tokens.get("access_token"), str):
        raise ValueError("the realm answered no access token")
    return dict(tokens)
