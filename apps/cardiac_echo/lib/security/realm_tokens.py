"""Access tokens of an OpenID Connect realm: whose they are, and the roles in them.

Replaces MONAI Label's check, which refuses every signed token as it names no algorithm.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jwt
from monailabel.config import settings
from monailabel.endpoints.user.auth import User

from lib.security.environment import environment
from lib.security.realm import Realm
from lib.security.roles import highest_and_below, not_logged_in

ALGORITHMS = ["RS256", "RS384", "RS512"]
MAX_TOKEN = 16 * 1024
LEEWAY_S = 30
"""Largest difference between the clocks of this server and of the realm, in seconds."""


class ExpiredError(Exception):
    """The token was good once."""


@cache
def realm() -> Realm:
    """Return the realm of this server."""
    return Realm(settings.MONAI_LABEL_AUTH_REALM_URI)


async def user_of(token: str) -> User:
    """Return the user of a token, with every role that theirs includes.

    Raises
    ------
    ExpiredError
        It has expired.
    HTTPException
        401: it is not valid here. 503: the realm does not answer.
    """
    claims = await _claims(token)
    issuer = environment().auth_issuer or settings.MONAI_LABEL_AUTH_REALM_URI
    if "iss" in claims and str(claims["iss"]).rstrip("/") != issuer.rstrip("/"):
        raise not_logged_in("the token is of another realm; see CARDIOLABEL_AUTH_ISSUER")
    if claims.get("typ", "Bearer") != "Bearer":
        raise not_logged_in("expected an access token, this is another kind")
    name = claims.get(settings.MONAI_LABEL_AUTH_TOKEN_USERNAME)
    if not isinstance(name, str) or not name:
        raise not_logged_in(f"the token names no user ({settings.MONAI_LABEL_AUTH_TOKEN_USERNAME})")
    return User(
        username=name,
        email=_text(claims.get(settings.MONAI_LABEL_AUTH_TOKEN_EMAIL)),
        name=_text(claims.get(settings.MONAI_LABEL_AUTH_TOKEN_NAME)),
        roles=_roles(claims),
    )


async def _claims(token: str) -> dict[str, Any]:
    if len(token) > MAX_TOKEN:
        raise not_logged_in(f"the token is longer than {MAX_TOKEN} letters")
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        try:
            return _decoded(token, await realm().key(kid))
        except jwt.InvalidSignatureError:
            # The realm may have changed its key.
            return _decoded(token, await realm().key(kid, again=True))
    except jwt.ExpiredSignatureError:
        raise ExpiredError from None
    except (jwt.PyJWTError, RecursionError):
        raise not_logged_in("the token is not one of this server's realm; log in again") from None


def _decoded(token: str, key: Any) -> dict[str, Any]:
    if key is None:
        raise jwt.InvalidKeyError("the realm has no such key")
    options: Any = {"require": ["exp"], "verify_aud": False}
    return jwt.decode(token, key, algorithms=ALGORITHMS, options=options, leeway=LEEWAY_S)


def _roles(claims: dict[str, Any]) -> list[str]:
    value: Any = claims
    for part in settings.MONAI_LABEL_AUTH_TOKEN_ROLES.split("#"):
        if not isinstance(value, dict):
            raise not_logged_in("the token's roles are malformed")
        value = value.get(part)
        if value is None:
            return []
    if not isinstance(value, list) or not all(isinstance(role, str) for role in value):
        raise not_logged_in("the token's roles are malformed")
    return highest_and_below(value)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
