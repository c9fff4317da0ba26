"""Refuses strangers, names that are paths, and requests of other sites."""

from __future__ import annotations

from urllib.parse import parse_qsl

from monailabel.config import settings
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from lib.security.addresses import path_of
from lib.security.environment import environment
from lib.security.locality import OWN_NAMES, is_loopback, without_port
from lib.security.names import NAMES, check_name, is_path
from lib.security.sites import check_site
from lib.server.errors import refused

MAX_QUERY_PARAMETERS = 100


class Guard:
    """ASGI middleware that refuses such requests."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        _check_caller(scope)
        _check_host(scope)
        _check_names(scope)
        check_site(scope)
        await self.app(scope, receive, send)


def _check_caller(scope: Scope) -> None:
    """Refuse other machines' programs where there is no login."""
    if settings.MONAI_LABEL_AUTH_ENABLE or environment().open:
        return
    headers = Headers(scope=scope)
    if not all(is_loopback(address) for address in _addresses(scope, headers)):
        raise refused(
            403,
            "login_required",
            "without login this server answers its own machine only; switch login on"
            " (MONAI_LABEL_AUTH_ENABLE) or, where everybody on the network may read and change the studies,"
            " set CARDIOLABEL_OPEN=true",
        )


def _check_host(scope: Scope) -> None:
    """Refuse unknown names of this server in ``Host``, against DNS rebinding.

    Names are known where an administrator lists them, and where there is no login and only this machine is
    answered.
    """
    names = environment().host_names
    if not names and (settings.MONAI_LABEL_AUTH_ENABLE or environment().open):
        return
    hosts = Headers(scope=scope).getlist("host")
    host = hosts[0].strip().lower() if len(hosts) == 1 else ""
    if without_port(host) not in OWN_NAMES | names and host not in names:
        raise refused(
            403,
            "foreign_host",
            "this server is not known under that name; expected localhost, or list the name in"
            " CARDIOLABEL_HOSTS",
        )


def _addresses(scope: Scope, headers: Headers) -> list[str]:
    """Return the client's address, and those that a proxy states, should uvicorn not have believed it."""
    client = scope.get("client")
    values = [headers.get(name, "") for name in ("x-forwarded-for", "x-real-ip", "forwarded")]
    named = [part.strip() for part in ",".join(values).split(",") if part.strip()]
    return [client[0] if client else "unknown", *named]


def _check_names(scope: Scope) -> None:
    for key, value in _parameters(scope):
        if key in NAMES:
            check_name(key, value)
    raw = scope.get("raw_path", b"").lower()
    hidden = any(code in raw for code in (b"%2f", b"%5c", b"\\"))
    if hidden or any(is_path(part) for part in path_of(scope).split("/")):
        raise refused(400, "bad_name", "the address: expected names, not paths")


def _parameters(scope: Scope) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            scope["query_string"].decode("latin-1"),
            keep_blank_values=True,
            max_num_fields=MAX_QUERY_PARAMETERS,
        )
    except ValueError:
        message = f"the address has too many parameters; expected at most {MAX_QUERY_PARAMETERS}"
        raise refused(400, "bad_request", message) from None
