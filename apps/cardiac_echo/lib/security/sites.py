"""Requests from other sites' pages: they may open a page here, and nothing more.

A GET may cost much (a figure, the whole data set) or lease an image, and needs no preflight: so the browser's
``Sec-Fetch-Site`` is checked, or ``Origin`` and ``Referer`` where it is missing.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from monailabel.config import settings
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Scope

from lib.security.addresses import is_page, path_of
from lib.server.errors import refused

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITES = frozenset({"same-origin", "none"})
"""Values for this server's own pages, and for addresses that a person typed or bookmarked."""


def allowed_origins() -> list[str]:
    """Return the origins that may use this server from a browser, besides its own."""
    return [str(origin).rstrip("/") for origin in settings.MONAI_LABEL_CORS_ORIGINS]


def check_site(scope: Scope) -> None:
    """Refuse requests of other sites' pages.

    Raises
    ------
    HTTPException
        403.
    """
    headers = Headers(scope=scope)
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "").strip().lower()
    if origin in allowed_origins():
        return
    if origin and scope["method"] not in SAFE_METHODS and not _is_own(origin, headers):
        raise _foreign(origin)
    if site in OWN_SITES or _opens_page(scope, headers):
        return
    if site:
        raise _foreign(origin or "a page of another site")
    referer = headers.get("referer", "")
    if referer and not _is_own(referer, headers) and not is_page(path_of(scope)):
        raise _foreign(_origin(referer))


def check_own_page(scope: Scope) -> None:
    """Refuse a change that a browser's cookie vouches for, unless a page of this server asks for it.

    Raises
    ------
    HTTPException
        403.
    """
    if scope["method"] in SAFE_METHODS:
        return
    headers = Headers(scope=scope)
    origin = headers.get("origin", "")
    if not (origin and _is_own(origin, headers)):
        raise _foreign(origin or "a page that does not say its origin")


def _opens_page(scope: Scope, headers: Headers) -> bool:
    mode, target = headers.get("sec-fetch-mode", ""), headers.get("sec-fetch-dest", "document")
    is_link = scope["method"] == "GET" and mode == "navigate" and target == "document"
    return is_link and is_page(path_of(scope))


def _is_own(address: str, headers: Headers) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.netloc == headers.get("host") or f"{parts.scheme}://{parts.netloc}" in allowed_origins()


def _origin(address: str) -> str:
    return "/".join(address.split("/")[:3])


def _foreign(origin: str) -> HTTPException:
    message = f"{origin[:80]!r} may not use this server; see MONAI_LABEL_CORS_ORIGINS"
    return refused(403, "foreign_origin", message)
