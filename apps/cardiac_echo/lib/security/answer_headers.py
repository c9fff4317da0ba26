"""Security headers of every answer."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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

_VIEWER = (
    "default-src 'self'; script-src 'self' 'unsafe-eval' blob:{scripts}; worker-src 'self' blob:;"
    " style-src 'self' 'unsafe-inline'; connect-src 'self' blob: data:;"
    " font-src 'self' data:; img-src 'self' data: blob:; " + _WITHIN
)


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
                _mark(MutableHeaders(scope=message))
            await send(message)

        await self.app(scope, receive, marked)


def viewer_policy(digests: Sequence[str]) -> str:
    """Return the policy for OHIF, whose readers of images and segmentations write code and styles.

    Parameters
    ----------
    digests : sequence of str
        SHA-256 in base64 of each script within its page.

    Examples
    --------
    >>> viewer_policy(("abc=",)).split("; ")[1]
    "script-src 'self' 'unsafe-eval' blob: 'sha256-abc='"
    """
    return _VIEWER.format(scripts="".join(f" 'sha256-{digest}'" for digest in digests))


def _mark(headers: MutableHeaders) -> None:
    headers.update(HEADERS)
    if "Content-Security-Policy" not in headers:
        headers["Content-Security-Policy"] = DATA
        headers.setdefault("Cache-Control", "no-store")
