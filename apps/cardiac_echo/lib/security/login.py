"""Login by bearer tokens of an OpenID Connect realm, and their roles.

Replaces MONAI Label's check, which refuses every signed token as it names no algorithm.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jwt
from monailabel.config import settings
from monailabel.endpoints.user.auth import DEFAULT_USER, User
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from lib.security.addresses import PAGES, path_of
from lib.security.audit_entry import note_login
from lib.security.environment import environment
from lib.security.realm import Realm
from lib.security.roles import STRANGER, note_sender, sender
from lib.server.errors import refused

ALGORITHMS = ["RS256", "RS384", "RS512"]
MAX_TOKEN = 16 * 1024
LEEWAY_S = 30
"""Largest difference between the clocks of this server and of the realm, in seconds."""

PUBLIC = frozenset({*PAGES, "/openapi.json", "/favicon.ico", "/auth"})
PUBLIC_FOLDERS = ("/auth/", "/web/")
"""Paths that are answered without a token; all others need one."""


class Login:
    """ASGI middleware that requires a valid token and a role.

    It decides before the body is read, so that uploads without login are never stored.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and settings.MONAI_LABEL_AUTH_ENABLE:
            public = _is_public(path_of(scope))
            try:
                user = await user_of(_bearer(Headers(scope=scope)))
                note_login(user.username)
                if settings.MONAI_LABEL_AUTH_ROLE_USER not in user.roles and not public:
                    raise refused(403, "forbidden", f"role {settings.MONAI_LABEL_AUTH_ROLE_USER} is needed")
                note_sender(user)
            except HTTPException:
                note_sender(STRANGER)
                if not public:
                    raise
        await self.app(scope, receive, send)


def token_user(token: str) -> User:
    """Return the user that `Login` identified, instead of MONAI Label's ``from_token``.

    MONAI Label asks again for each of a route's dependencies.
    """
    if not settings.MONAI_LABEL_AUTH_ENABLE:
        return DEFAULT_USER
    user = sender()
    if user is STRANGER:
        raise _not_logged_in("log in again: the token is not valid here")
    return user


@cache
def realm() -> Realm:
    """Return the realm of this server."""
    return Realm(settings.MONAI_LABEL_AUTH_REALM_URI)


async def user_of(token: str) -> User:
    """Return the user of a token, with every role that theirs includes."""
    claims = await _claims(token)
    issuer = environment().auth_issuer or settings.MONAI_LABEL_AUTH_REALM_URI
    if "iss" in claims and str(claims["iss"]).rstrip("/") != issuer.rstrip("/"):
        raise _not_logged_in("the token is of another realm; see CARDIOLABEL_AUTH_ISSUER")
    if claims.get("typ", "Bearer") != "Bearer":
        raise _not_logged_in("expected an access token, this is another kind")
    name = claims.get(settings.MONAI_LABEL_AUTH_TOKEN_USERNAME)
    if not isinstance(name, str) or not name:
        raise _not_logged_in(f"the token names no user ({settings.MONAI_LABEL_AUTH_TOKEN_USERNAME})")
    return User(
        username=name,
        email=_text(claims.get(settings.MONAI_LABEL_AUTH_TOKEN_EMAIL)),
        name=_text(claims.get(settings.MONAI_LABEL_AUTH_TOKEN_NAME)),
        roles=_roles(claims),
    )


def ranks() -> list[str]:
    """Return the roles, the highest first; each includes those below it."""
    return [
        settings.MONAI_LABEL_AUTH_ROLE_ADMIN,
        settings.MONAI_LABEL_AUTH_ROLE_REVIEWER,
        settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR,
        settings.MONAI_LABEL_AUTH_ROLE_USER,
    ]


async def _claims(token: str) -> dict[str, Any]:
    if len(token) > MAX_TOKEN:
        raise _not_logged_in(f"the token is longer than {MAX_TOKEN} letters")
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        try:
            return _decoded(token, await realm().key(kid))
        except jwt.InvalidSignatureError:
            # The realm may have changed its key.
            return _decoded(token, await realm().key(kid, again=True))
    except jwt.ExpiredSignatureError:
        raise _not_logged_in("the token has expired; log in again") from None
    except (jwt.PyJWTError, RecursionError):
        raise _not_logged_in("the token is not one of this server's realm; log in again") from None


def _decoded(token: str, key: Any) -> dict[str, Any]:
    if key is None:
        raise jwt.InvalidKeyError("the realm has no such key")
    options: Any = {"require": ["exp"], "verify_aud": False}
    return jwt.decode(token, key, algorithms=ALGORITHMS, options=options, leeway=LEEWAY_S)


def _roles(claims: dict[str, Any]) -> list[str]:
    value: Any = claims
    for part in settings.MONAI_LABEL_AUTH_TOKEN_ROLES.split("#"):
        if not isinstance(value, dict):
            raise _not_logged_in("the token's roles are malformed")
        value = value.get(part)
        if value is None:
            return []
    if not isinstance(value, list) or not all(isinstance(role, str) for role in value):
        raise _not_logged_in("the token's roles are malformed")
    highest = min((rank for rank, role in enumerate(ranks()) if role in value), default=None)
    return [] if highest is None else ranks()[highest:]


def _is_public(path: str) -> bool:
    return path in PUBLIC or path.startswith(PUBLIC_FOLDERS)


def _bearer(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _not_logged_in("log in and send the token as Authorization: Bearer …")
    return token.strip()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _not_logged_in(message: str) -> HTTPException:
    return refused(401, "not_logged_in", message, headers={"WWW-Authenticate": "Bearer"})
