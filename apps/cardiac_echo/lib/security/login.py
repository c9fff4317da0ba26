"""Login: who sends a request, by a bearer token or by the cookie of a login in the browser."""

from __future__ import annotations

from monailabel.config import settings
from monailabel.endpoints.user.auth import User
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from lib.security.addresses import OHIF, PAGES, path_of
from lib.security.audit_entry import note_login
from lib.security.cookies import LOGIN, cookie
from lib.security.local_accounts import uses_accounts
from lib.security.login_sessions import is_session_token, login_sessions
from lib.security.realm_tokens import ExpiredError, user_of
from lib.security.roles import STRANGER, not_logged_in, note_sender
from lib.security.sites import check_own_page
from lib.server.errors import refused

PUBLIC = frozenset({*PAGES, "/openapi.json", "/favicon.ico", "/auth"})
PUBLIC_FOLDERS = ("/auth/", "/web/", OHIF)
"""Paths that are answered without a login; all others need one."""


class Login:
    """ASGI middleware that requires a valid login and a role.

    It decides before the body is read, so that uploads without login are never stored.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and settings.MONAI_LABEL_AUTH_ENABLE:
            public = _is_public(path_of(scope))
            try:
                user = await _user(scope)
                note_login(user.username)
                if settings.MONAI_LABEL_AUTH_ROLE_USER not in user.roles and not public:
                    raise refused(403, "forbidden", f"role {settings.MONAI_LABEL_AUTH_ROLE_USER} is needed")
                note_sender(user)
            except HTTPException:
                note_sender(STRANGER)
                if not public:
                    raise
        await self.app(scope, receive, send)


async def _user(scope: Scope) -> User:
    """Return the sender of a request, with every role that theirs includes."""
    token = _bearer(Headers(scope=scope))
    if not token:
        token = cookie(scope, LOGIN)
        if not token:
            raise not_logged_in("log in, or send a token as Authorization: Bearer …")
        check_own_page(scope)
    if is_session_token(token):
        return await login_sessions().user(token)
    if uses_accounts():
        raise not_logged_in("the token is not one of this server; log in again")
    try:
        return await user_of(token)
    except ExpiredError:
        raise not_logged_in("the token has expired; log in again") from None


def _is_public(path: str) -> bool:
    return path in PUBLIC or path.startswith(PUBLIC_FOLDERS)


def _bearer(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
