"""What never reaches an endpoint: strangers, names that are paths, pages of other origins."""

from __future__ import annotations

import ipaddress
from urllib.parse import parse_qsl, urlsplit

from monailabel.config import settings
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lib.errors import refused
from lib.security.environment import environment
from lib.security.names import NAMES, check_name, is_path

OWN_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
ANSWER_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    # Addresses name patients.
    "Referrer-Policy": "same-origin",
}


def allowed_origins() -> list[str]:
    """Origins that may use this server from a browser, besides its own."""
    return [str(origin).rstrip("/") for origin in settings.MONAI_LABEL_CORS_ORIGINS]


def path_of(scope: Scope) -> str:
    """The path that routes are looked up by."""
    path = str(scope["path"])
    root = str(scope.get("root_path", ""))
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path


class Guard:
    """ASGI middleware that refuses such requests."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(ANSWER_HEADERS)
            await send(message)

        _check_caller(scope)
        _check_names(scope)
        _check_origin(scope)
        await self.app(scope, receive, marked)


def _check_caller(scope: Scope) -> None:
    """Without login only programs of this machine are answered, and no page that renamed it."""
    if settings.MONAI_LABEL_AUTH_ENABLE or environment().open:
        return
    headers = Headers(scope=scope)
    if not all(_is_loopback(address) for address in _addresses(scope, headers)):
        raise refused(
            403,
            "login_required",
            "without login this server answers its own machine only; switch login on"
            " (MONAI_LABEL_AUTH_ENABLE) or, where everybody on the network may read and change the studies,"
            " set CARDIOLABEL_OPEN=true",
        )
    host = headers.get("host", "").lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name not in OWN_HOSTS | environment().host_names and host not in environment().host_names:
        raise refused(
            403,
            "foreign_host",
            "this server is not known under that name; expected localhost, or list the name in"
            " CARDIOLABEL_HOSTS",
        )


def _addresses(scope: Scope, headers: Headers) -> list[str]:
    """The client, and whoever a proxy says that it speaks for, should uvicorn not have believed it."""
    client = scope.get("client")
    said = [headers.get(name, "") for name in ("x-forwarded-for", "x-real-ip", "forwarded")]
    named = [part.strip() for part in ",".join(said).split(",") if part.strip()]
    return [client[0] if client else "unknown", *named]


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)


def _check_names(scope: Scope) -> None:
    for key, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        if key in NAMES:
            check_name(key, value)
    raw = scope.get("raw_path", b"").lower()
    hidden = any(code in raw for code in (b"%2f", b"%5c", b"\\"))
    if hidden or any(is_path(part) for part in path_of(scope).split("/")):
        raise refused(400, "bad_name", "the address: expected names, not paths")


def _check_origin(scope: Scope) -> None:
    """Pages of other origins may not change anything, even where the browser sends no preflight."""
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    if scope["method"] in SAFE_METHODS or not origin or origin in allowed_origins():
        return
    try:
        same = urlsplit(origin).netloc == headers.get("host")
    except ValueError:
        same = False
    if not same:
        message = f"{origin[:80]!r} may not use this server; see MONAI_LABEL_CORS_ORIGINS"
        raise refused(403, "foreign_origin", message)
