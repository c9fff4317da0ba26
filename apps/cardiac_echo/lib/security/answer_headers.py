"""Security headers of every answer."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lib.security.addresses import OHIF, path_of

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    # Addresses name patients.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

_WITHIN = "base-uri 'self'; object-src 'none'; frame-ancestors 'self'; form-action 'self'"

DATA = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
"""Policy for JSON, images and files: nothing in them runs or loads."""

VIEWER = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src 'self' blob:;"
    " style-src 'self' 'unsafe-inline' https://fonts.googleapis.com; connect-src 'self' blob: data:;"
    " font-src 'self' data: https://fonts.gstatic.com; img-src 'self' data: blob:; " + _WITHIN
)
"""Policy for OHIF, which compiles its decoders in the browser."""


class AnswerHeaders:
    """ASGI middleware that adds the headers to every answer, refusals included."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add to its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                _mark(MutableHeaders(scope=message), path_of(scope))
            await send(message)

        await self.app(scope, receive, marked)


def content_policy(path: str) -> str:
    """Return the content security policy of the answer at a path.

    Examples
    --------
    >>> content_policy("/cardiac/patients")
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    """
    return VIEWER if path.startswith(OHIF) else DATA


def _mark(headers: MutableHeaders, path: str) -> None:
    headers.update(HEADERS)
    policy = content_policy(path)
    headers.setdefault("Content-Security-Policy", policy)
    if policy == DATA:
        headers.setdefault("Cache-Control", "no-store")
