"""The pages: HTML of Jinja2 templates, and the scripts, styles and libraries that they load."""

from __future__ import annotations

import base64
import gzip
import hashlib
import mimetypes
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from monailabel.config import settings
from starlette.responses import HTMLResponse, RedirectResponse

from lib.security.addresses import OPEN_PAGES, PAGES, REDOC, START
from lib.security.local_accounts import uses_accounts
from lib.security.roles import STRANGER, sender
from lib.server.errors import refused

router = APIRouter(include_in_schema=False)

WEB = Path(__file__).resolve().parents[2] / "web"
_STATIC = WEB / "static"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}
_FOREVER = "public, max-age=31536000, immutable"

IMPORTS = '{"imports":{"d3-path":"./vendor/d3-path.js"}}'

_POLICY = (
    "default-src 'none'; script-src 'self' 'sha256-{scripts}'; style-src 'self'; img-src 'self' blob: data:;"
    " connect-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)

_OF_REDOC = "; style-src-elem 'self' 'unsafe-inline'; style-src-attr 'unsafe-inline'; worker-src blob:"
"""ReDoc writes its styles itself, and searches in a worker; its page shows the API's description only."""


def page(request: Request) -> Response:
    """Return the page at an address of `PAGES`, or lead those who must log in to the login."""
    path = request.scope["path"].removeprefix(str(request.scope.get("root_path", "")))
    name = "worklist" if path == START else path.strip("/")
    root = str(request.scope.get("root_path", "")).rstrip("/")
    if path not in OPEN_PAGES and sender() is STRANGER:
        here = path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"{root}/login?{urlencode({'next': here})}", status_code=303)
    return Response(
        _html(name, root),
        media_type="text/html",
        headers={"Content-Security-Policy": _policy(root, path), "Cache-Control": "no-cache"},
    )


for _path in PAGES:
    router.add_api_route(_path, page, methods=["GET"], response_class=HTMLResponse)


@router.get("/web/{version}/{path:path}")
def static(version: str, path: str, request: Request) -> Response:
    """Return a file that a page loads; its address changes with the content, so browsers keep it."""
    file = _files().get(path)
    if file is None:
        raise refused(404, "unknown_file", "the page has no such file; load it again")
    headers = {"Cache-Control": _FOREVER if version == _version() else "no-cache", "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(_compressed(file), media_type=_type(file), headers=headers)
    return Response(file.read_bytes(), media_type=_type(file), headers=headers)


@cache
def _files() -> dict[str, Path]:
    """Return the files by address, so that no address leads elsewhere."""
    return {
        path.relative_to(_STATIC).as_posix(): path for path in sorted(_STATIC.rglob("*")) if path.is_file()
    }


@cache
def _version() -> str:
    digest = hashlib.sha256()
    for name, path in _files().items():
        digest.update(name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def _compressed(file: Path) -> bytes:
    return gzip.compress(file.read_bytes(), mtime=0)


def _type(file: Path) -> str:
    return _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(WEB / "templates"), autoescape=select_autoescape(), undefined=StrictUndefined
    )


@cache
def _html(name: str, root: str) -> str:
    template = _templates().get_template(f"{name}.html")
    return template.render(
        page=name, root=root, login=page_login(), files=page_files(root), imports=_imports(root)
    )


def page_files(root: str) -> str:
    """Return where the files are that pages load; it changes with their content."""
    return f"{root}/web/{_version()}"


def page_login() -> str:
    """Return how people log in, as the pages know it."""
    if not settings.MONAI_LABEL_AUTH_ENABLE:
        return "none"
    return "accounts" if uses_accounts() else "realm"


def _imports(root: str) -> str:
    return IMPORTS.replace("./vendor", f"{page_files(root)}/vendor")


@cache
def _policy(root: str, path: str) -> str:
    digest = base64.b64encode(hashlib.sha256(_imports(root).encode()).digest()).decode()
    return _POLICY.format(scripts=digest) + (_OF_REDOC if path == REDOC else "")
