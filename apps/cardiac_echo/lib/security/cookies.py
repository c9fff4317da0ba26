"""Cookies of a login: their names, and how they are set and taken back.

Scripts cannot read them, and a browser sends them with requests of this server's own pages only.
"""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from typing import Literal

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

LOGIN, BROWSER = "login", "browser"
"""What a cookie holds: the token of a login; what ties a login at the realm to this browser."""


def cookie(scope: Scope, kind: str) -> str:
    """Return the value of a cookie in a request; empty where there is none."""
    try:
        morsels = SimpleCookie("; ".join(Headers(scope=scope).getlist("cookie")))
    except CookieError:
        return ""
    morsel = morsels.get(_name(scope, kind))
    return morsel.value if morsel else ""


def set_cookie(
    response: Response, scope: Scope, kind: str, value: str, *, same_site: Literal["strict", "lax"] = "strict"
) -> None:
    """Set a cookie that ends with the browser."""
    response.set_cookie(
        _name(scope, kind),
        value,
        path=_path(scope),
        httponly=True,
        samesite=same_site,
        secure=scope["scheme"] == "https",
    )


def clear_cookie(response: Response, scope: Scope, kind: str) -> None:
    """Take a cookie back."""
    response.delete_cookie(_name(scope, kind), path=_path(scope), httponly=True)


def _name(scope: Scope, kind: str) -> str:
    """Return the name of a cookie: browsers share cookies among the ports of a host."""
    port = Headers(scope=scope).get("host", "").rpartition(":")[2]
    return f"cardiolabel-{kind}-{port}" if port.isdigit() else f"cardiolabel-{kind}"


def _path(scope: Scope) -> str:
    return str(scope.get("root_path", "")).rstrip("/") or "/"
